"""A partition as each provider would put it, whole and as a stream, so that reading it back can be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings

from hypertool.llm import StreamReader, Usage

# A busy machine is no failure of what is tested.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Chunks = list[Any]


@dataclass(frozen=True)
class Encoding:
    """`whole` and `stream` of a usage; `keeps` is the usage without what the provider cannot say."""

    name: str
    whole: Callable[[Usage], Any]
    stream: Callable[[Usage, list[str]], Chunks]
    keeps: Callable[[Usage], Usage] = lambda usage: usage


def _openai_tokens(u: Usage, given: str, made: str) -> dict[str, Any]:
    return {
        f"{given}_tokens": u.input_tokens,
        f"{made}_tokens": u.output_tokens,
        "total_tokens": u.total,
        f"{given}_tokens_details": {"cached_tokens": u.cached_input, "cache_write_tokens": u.cache_write},
        f"{made}_tokens_details": {"reasoning_tokens": u.reasoning},
    }


def _chat_tokens(u: Usage) -> dict[str, Any]:
    return _openai_tokens(u, "prompt", "completion")


def _chat(u: Usage) -> Any:
    return {"object": "chat.completion", "choices": [{"finish_reason": "stop"}], "usage": _chat_tokens(u)}


def _chat_stream(u: Usage, texts: list[str]) -> Chunks:
    return [
        *({"choices": [{"delta": {"content": text}, "finish_reason": None}]} for text in texts),
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": _chat_tokens(u)},
    ]


def _xai(u: Usage) -> Any:
    """Reasoning beside the completion; only the total says so."""
    return {"choices": [], "usage": {**_chat_tokens(u), "completion_tokens": u.output}}


def _growing_stream(u: Usage, texts: list[str]) -> Chunks:
    """A usage on every chunk, counting up."""
    part = [
        {"choices": [{"delta": {"content": text}, "finish_reason": None}], "usage": _chat_tokens(Usage(*u[:4]))}
        for text in texts
    ]
    return [*part, {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": _chat_tokens(u)}]


def _response_tokens(u: Usage) -> dict[str, Any]:
    return _openai_tokens(u, "input", "output")


def _responses(u: Usage) -> Any:
    return {"object": "response", "status": "completed", "usage": _response_tokens(u)}


def _responses_stream(u: Usage, texts: list[str]) -> Chunks:
    return [
        {"type": "response.created", "response": {"usage": None}},
        *({"type": "response.output_text.delta", "delta": text} for text in texts),
        {"type": "response.completed", "response": _responses(u)},
    ]


def _claude_tokens(u: Usage) -> dict[str, Any]:
    return {
        "input_tokens": u.input,
        "cache_read_input_tokens": u.cached_input,
        "cache_creation_input_tokens": u.cache_write,
        "output_tokens": u.output_tokens,
        "output_tokens_details": {"thinking_tokens": u.reasoning},
    }


def _claude(u: Usage) -> Any:
    return {"type": "message", "stop_reason": "end_turn", "usage": _claude_tokens(u)}


def _claude_stream(u: Usage, texts: list[str]) -> Chunks:
    start = {**_claude_tokens(u), "output_tokens": min(1, u.output_tokens), "output_tokens_details": None}
    return [
        {"type": "message_start", "message": {"usage": start}},
        {"type": "ping"},
        *({"type": "content_block_delta", "delta": {"text": text}} for text in texts),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": u.output_tokens, "output_tokens_details": {"thinking_tokens": u.reasoning}},
        },
        {"type": "message_stop"},
    ]


def _google_counts(u: Usage, *names: str) -> dict[str, Any]:
    """Under its names for the prompt, the cached part of it, the answer, the thoughts, and all of them."""
    counts = (u.input + u.cached_input, u.cached_input, u.output, u.reasoning, u.total - u.cache_write)
    return dict(zip(names, counts, strict=True))


def _google_tokens(u: Usage) -> dict[str, Any]:
    kinds = ("prompt", "cachedContent", "candidates", "thoughts", "total")
    return _google_counts(u, *(f"{kind}TokenCount" for kind in kinds))


def _google(u: Usage) -> Any:
    return {"candidates": [{"finishReason": "STOP"}], "usageMetadata": _google_tokens(u)}


def _google_stream(u: Usage, texts: list[str]) -> Chunks:
    part = {**_google_tokens(u), "candidatesTokenCount": 0, "totalTokenCount": u.total - u.cache_write - u.output}
    return [*({"candidates": [{"content": text}], "usageMetadata": part} for text in texts), _google(u)]


def _amazon_counts(u: Usage, ending: str) -> dict[str, Any]:
    return {
        f"input{ending}": u.input,
        f"output{ending}": u.output_tokens,
        f"cacheReadInput{ending}": u.cached_input,
        f"cacheWriteInput{ending}": u.cache_write,
    }


def _amazon_tokens(u: Usage) -> dict[str, Any]:
    return {**_amazon_counts(u, "Tokens"), "totalTokens": u.total}


def _amazon(u: Usage) -> Any:
    return {"stopReason": "end_turn", "usage": _amazon_tokens(u)}


def _amazon_stream(u: Usage, texts: list[str]) -> Chunks:
    return [
        {"messageStart": {"role": "assistant"}},
        *({"contentBlockDelta": {"delta": {"text": t}}} for t in texts),
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": _amazon_tokens(u)}},
    ]


def _invoke_stream(u: Usage, texts: list[str]) -> Chunks:
    last = {"amazon-bedrock-invocationMetrics": _amazon_counts(u, "TokenCount")}
    return [{"chunk": {"bytes": json.dumps(piece).encode()}} for piece in (*({"text": t} for t in texts), last)]


def _chain_tokens(given: int, cached: int, write: int, made: int, reasoning: int) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "output_tokens": made,
        "total_tokens": given + made,
        "input_token_details": {"cache_read": cached, "cache_creation": write},
        "output_token_details": {"reasoning": reasoning},
    }


def _chain(u: Usage) -> Any:
    return {
        "response_metadata": {"finish_reason": "stop"},
        "usage_metadata": _chain_tokens(u.input_tokens, u.cached_input, u.cache_write, u.output_tokens, u.reasoning),
    }


def _chain_stream(u: Usage, texts: list[str]) -> Chunks:
    """The input first, then what each chunk adds, as LangChain's own addition of chunks expects it."""
    return [
        {"response_metadata": {}, "usage_metadata": _chain_tokens(u.input_tokens, u.cached_input, u.cache_write, 0, 0)},
        *({"response_metadata": {}, "usage_metadata": None, "content": text} for text in texts),
        {"response_metadata": {}, "usage_metadata": _chain_tokens(0, 0, 0, u.reasoning, u.reasoning)},
        {"response_metadata": {"finish_reason": "stop"}, "usage_metadata": _chain_tokens(0, 0, 0, u.output, 0)},
    ]


def _cohere_tokens(u: Usage) -> dict[str, Any]:
    counts = {"input_tokens": u.input + u.cached_input, "output_tokens": u.output_tokens}
    return {"billed_units": {"input_tokens": u.input}, "tokens": counts, "cached_tokens": u.cached_input}


def _cohere(u: Usage) -> Any:
    return {"id": "a", "finish_reason": "COMPLETE", "message": {}, "usage": _cohere_tokens(u)}


def _cohere_stream(u: Usage, texts: list[str]) -> Chunks:
    return [
        {"type": "message-start", "id": "a"},
        *({"type": "content-delta", "delta": {"message": text}} for text in texts),
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _cohere_tokens(u)}},
    ]


def _ollama(u: Usage) -> Any:
    counts = {"prompt_eval_count": u.input_tokens, "eval_count": u.output_tokens}
    return {"model": "m", "done": True, "done_reason": "stop", **counts}


def _ollama_stream(u: Usage, texts: list[str]) -> Chunks:
    return [*({"model": "m", "message": text, "done": False} for text in texts), _ollama(u)]


def _interaction_tokens(u: Usage) -> dict[str, Any]:
    kinds = ("input_", "cached_", "output_", "thought_", "")
    return _google_counts(u, *(f"total_{kind}tokens" for kind in kinds))


def _interaction(u: Usage) -> Any:
    return {"id": "v", "status": "completed", "usage": _interaction_tokens(u)}


def _interaction_stream(u: Usage, texts: list[str]) -> Chunks:
    return [
        {"event_type": "interaction.created", "interaction": {"id": "v"}},
        *({"event_type": "step.delta", "delta": {"text": text}} for text in texts),
        {"event_type": "interaction.completed", "interaction": _interaction(u)},
    ]


def _dashscope(u: Usage) -> Any:
    usage = {**_response_tokens(u), "prompt_tokens_details": {"cached_tokens": u.cached_input}}
    del usage["input_tokens_details"]
    return {"request_id": "r", "output": {"finish_reason": "stop"}, "usage": usage}


def _dashscope_stream(u: Usage, texts: list[str]) -> Chunks:
    """A count on every chunk, growing."""
    part = {**_dashscope(Usage(u.input, u.cached_input)), "output": {"finish_reason": "null"}}
    return [*(part for _ in texts), _dashscope(u)]


def _groq_stream(u: Usage, texts: list[str]) -> Chunks:
    return [
        *({"id": "g", "choices": [{"delta": {"content": text}, "finish_reason": None}]} for text in texts),
        {"id": "g", "choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": _chat_tokens(u)}},
    ]


def _pydantic_ai(u: Usage) -> Any:
    return {
        "usage": {
            "details": {"reasoning_tokens": u.reasoning},
            "input_tokens": u.input_tokens,
            "cache_read_tokens": u.cached_input,
            "cache_write_tokens": u.cache_write,
            "output_tokens": u.output_tokens,
        }
    }


def _no_cache(u: Usage) -> Usage:
    return Usage(u.input_tokens, output=u.output_tokens)


def _no_write(u: Usage) -> Usage:
    return u._replace(cache_write=0)


def _no_reasoning(u: Usage) -> Usage:
    return u._replace(output=u.output_tokens, reasoning=0)


ENCODINGS = [
    Encoding("chat", _chat, _chat_stream),
    Encoding("xai", _xai, _growing_stream),
    Encoding("responses", _responses, _responses_stream),
    Encoding("anthropic", _claude, _claude_stream),
    Encoding("gemini", _google, _google_stream, _no_write),
    Encoding("converse", _amazon, _amazon_stream, _no_reasoning),
    Encoding("invoke", _amazon, _invoke_stream, _no_reasoning),
    Encoding("langchain", _chain, _chain_stream),
    Encoding("groq", _chat, _groq_stream),
    Encoding("cohere", _cohere, _cohere_stream, lambda u: _no_reasoning(_no_write(u))),
    Encoding("ollama", _ollama, _ollama_stream, _no_cache),
    Encoding("interactions", _interaction, _interaction_stream, _no_write),
    Encoding(
        "dashscope", _dashscope, _dashscope_stream, lambda u: u._replace(input=u.input + u.cache_write, cache_write=0)
    ),
    Encoding("pydantic-ai", _pydantic_ai, lambda u, texts: [*({"kind": text} for text in texts), _pydantic_ai(u)]),
]


def fed(chunks: list[Any]) -> StreamReader:
    """A reader that was given these chunks."""
    reader = StreamReader()
    for chunk in chunks:
        reader.feed(chunk)
    return reader
