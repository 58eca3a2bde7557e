"""Responses as providers send them, each with the partition that the provider's documentation gives.

`WHOLE` are responses, `STREAMS` the chunks of one call. A partition is (input, cached, written, output, reasoning), or
the reason why it is missing. A new shape's cases are rows here.
"""

from __future__ import annotations

from typing import Any

Row = tuple[str, Any, tuple[int, ...] | str]


def _chat(given: int, made: int, total: int, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": total, **more}
    return {"object": "chat.completion", "choices": [{"finish_reason": "stop"}], "usage": usage}


def _message(**usage: Any) -> dict[str, Any]:
    return {"type": "message", "stop_reason": "end_turn", "usage": usage}


def _chain(given: int, made: int, total: int, about: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": given, "output_tokens": made, "total_tokens": total, **more}
    return {"type": "ai", "id": "run-1", "response_metadata": about or {}, "usage_metadata": usage}


def _responses(given: int, made: int, **more: Any) -> dict[str, Any]:
    return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made, **more}


_REASONED = {"reasoning_tokens": 27}
_BILLED = {"input_tokens": 377, "output_tokens": 113}
_READ = {"input_tokens": 577, "output_tokens": 113}
_GOOGLE = {
    "total_input_tokens": 22,
    "total_cached_tokens": 10,
    "total_output_tokens": 590,
    "total_tool_use_tokens": 198,
    "total_thought_tokens": 1173,
    "total_tokens": 1983,
}
_HEADER = "x-amzn-bedrock-input-token-count"
_COMPACTION = {"type": "compaction", "input_tokens": 900, "output_tokens": 70, "cache_read_input_tokens": 500}
_LAST = {"type": "message", "input_tokens": 30, "output_tokens": 8}

WHOLE: list[Row] = [
    # 440 + 27 of 553: the rest is input of built-in tools, as reasoning is inside the completion already.
    ("chat tools in total", _chat(440, 27, 553, completion_tokens_details=_REASONED), (526, 0, 0, 0, 27)),
    (
        "chat more reasoning than output",
        _chat(43, 10, 53, completion_tokens_details={"reasoning_tokens": 11}),
        (43, 0, 0, 0, 10),
    ),
    ("chat more cache than prompt", _chat(10, 5, 15, prompt_tokens_details={"cached_tokens": 20}), "invalid"),
    # Azure's Grok counts what is cached of a prompt that it hides.
    (
        "azure grok more cache than prompt",
        _chat(10, 5, 15, prompt_tokens_details={"cached_tokens": 20}, num_sources_used=0),
        (0, 10, 0, 5, 0),
    ),
    (
        "chat more cache beside the prompt",
        {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cached_prompt_tokens": 20}},
        "invalid",
    ),
    (
        "azure grok more cache than a total knows",
        _chat(10, 5, 0, prompt_tokens_details={"cached_tokens": 20}, num_sources_used=0),
        "invalid",
    ),
    (
        "openrouter reads what it writes",
        _chat(2168, 100, 2268, cost=0.0, prompt_tokens_details={"cached_tokens": 2161, "cache_write_tokens": 2161}),
        (7, 2161, 0, 100, 0),
    ),
    (
        "mistral audio",
        _chat(9, 248, 632, prompt_audio_seconds=3, prompt_tokens_details={"cached_tokens": 0, "audio_tokens": 375}),
        (384, 0, 0, 248, 0),
    ),
    ("chat whole numbers as floats", _chat(28.0, 5.0, 33.0), (28, 0, 0, 5, 0)),  # type: ignore[arg-type]
    ("chat fraction of a token", _chat(28.5, 5, 33), "invalid"),  # type: ignore[arg-type]
    ("mistral cached", _chat(64, 6, 70, num_cached_tokens=32), (32, 32, 0, 6, 0)),
    ("moonshot cached", _chat(64, 6, 70, cached_tokens=32), (32, 32, 0, 6, 0)),
    ("deepseek cached", _chat(64, 6, 70, prompt_cache_hit_tokens=32, prompt_cache_miss_tokens=32), (32, 32, 0, 6, 0)),
    ("writer cached", _chat(64, 6, 70, prompt_token_details={"cached_tokens": 32}), (32, 32, 0, 6, 0)),
    (
        "zero in the details and cached beside",
        _chat(9, 1, 10, prompt_tokens_details={"cached_tokens": 0}, cached_tokens=4),
        (5, 4, 0, 1, 0),
    ),
    (
        "xai protobuf as json",
        _chat(213, 3, 252, reasoning_tokens=36, cached_prompt_text_tokens=128),
        (85, 128, 0, 3, 36),
    ),
    (
        "perplexity deep research",
        _chat(33, 7163, 7196, citation_tokens=20016, reasoning_tokens=73997),
        (20049, 0, 0, 7163, 73997),
    ),
    ("chat cache under an unknown name", _chat(9, 1, 10, cache_hits_tokens=4), "unrecognised"),
    (
        "chat thoughts under an unknown name",
        _chat(9, 1, 10, completion_tokens_details={"thought_tokens": 1}),
        "unrecognised",
    ),
    ("chat cost of the cache", _chat(9, 1, 10, cache_discount=1, reasoning_effort=2), (9, 0, 0, 1, 0)),
    (
        "openai transcription",
        {
            "text": "x",
            "usage": {"type": "tokens", **_responses(9, 2, input_token_details={"audio_tokens": 9, "text_tokens": 0})},
        },
        (9, 0, 0, 2, 0),
    ),
    ("openai transcription by duration", {"text": "x", "usage": {"type": "duration", "seconds": 3}}, "no_usage"),
    (
        "openai realtime",
        {
            "object": "realtime.response",
            "usage": _responses(
                100, 20, input_token_details={"cached_tokens": 64, "cached_tokens_details": {"text_tokens": 64}}
            ),
        },
        (36, 64, 0, 20, 0),
    ),
    (
        "openai run",
        {
            "object": "thread.run",
            "usage": _chat(376, 83, 459, prompt_token_details={"cached_tokens": 128})["usage"],
        },
        (248, 128, 0, 83, 0),
    ),
    (
        "dashscope",
        {
            "request_id": "r",
            "output": {"text": "x"},
            "usage": _responses(
                50, 5, prompt_tokens_details={"cached_tokens": 40}, output_tokens_details={"reasoning_tokens": 3}
            ),
        },
        (10, 40, 0, 2, 3),
    ),
    (
        "anthropic compaction",
        _message(input_tokens=30, output_tokens=8, iterations=[_COMPACTION, _LAST]),
        (930, 500, 0, 78, 0),
    ),
    (
        "anthropic cache under an unknown name",
        _message(input_tokens=3, output_tokens=8, cache_extra_tokens=9),
        "unrecognised",
    ),
    (
        "anthropic batch",
        {
            "custom_id": "a",
            "result": {
                "type": "succeeded",
                "message": _message(input_tokens=3, cache_read_input_tokens=9, output_tokens=8),
            },
        },
        (3, 9, 0, 8, 0),
    ),
    (
        "openai batch",
        {"custom_id": "a", "response": {"status_code": 200, "body": _chat(8, 2, 10)}, "error": None},
        (8, 0, 0, 2, 0),
    ),
    ("anthropic count of tokens", {"input_tokens": 19}, "no_usage"),
    ("openai count of tokens", {"object": "response.input_tokens", "input_tokens": 51}, "no_usage"),
    ("gemini count of tokens", {"totalTokens": 12, "promptTokensDetails": []}, "no_usage"),
    ("gemini cached content", {"name": "cachedContents/a", "usageMetadata": {"totalTokenCount": 1090}}, "no_usage"),
    (
        "vertex cached content",
        {"name": "projects/1/cachedContents/2", "usageMetadata": {"totalTokenCount": 9}},
        "no_usage",
    ),
    ("gemini without its prompt", {"candidates": [], "usageMetadata": {"candidatesTokenCount": 5}}, "invalid"),
    (
        "gemini live",
        {"usageMetadata": {"promptTokenCount": 9, "responseTokenCount": 4, "totalTokenCount": 13}},
        (9, 0, 0, 4, 0),
    ),
    ("gemini interaction", {"id": "v1", "status": "completed", "usage": _GOOGLE}, (210, 10, 0, 590, 1173)),
    (
        "vertex predict",
        {
            "predictions": [{"content": "x"}],
            "metadata": {
                "tokenMetadata": {"inputTokenCount": {"totalTokens": 7}, "outputTokenCount": {"totalTokens": 3}}
            },
        },
        (7, 0, 0, 3, 0),
    ),
    (
        "vertex embeddings",
        {"predictions": [{"embeddings": {"values": [0.1], "statistics": {"token_count": 4}}}] * 2},
        (8, 0, 0, 0, 0),
    ),
    (
        "bedrock after a guardrail",
        {"stopReason": "guardrail_intervened", "usage": {"inputTokens": 28.0}},
        (28, 0, 0, 0, 0),
    ),
    ("bedrock embedding body", {"embedding": [0.1], "inputTextTokenCount": 6}, (6, 0, 0, 0, 0)),
    (
        "bedrock titan after a guardrail",
        {"inputTextTokenCount": 28.0, "results": [{"tokenCount": 197.0, "completionReason": "FINISH"}]},
        (28, 0, 0, 197, 0),
    ),
    (
        "bedrock embedding headers",
        {"body": object(), "ResponseMetadata": {"HTTPHeaders": {_HEADER: "12"}}},
        (12, 0, 0, 0, 0),
    ),
    ("bedrock guardrail", {"action": "NONE", "usage": {"topicPolicyUnits": 1, "wordPolicyUnits": 2}}, "no_usage"),
    (
        "bedrock unexplained total",
        {"stopReason": "x", "usage": {"inputTokens": 9, "outputTokens": 1, "totalTokens": 99}},
        "invalid",
    ),
    (
        "cohere v2",
        {"id": "a", "message": {}, "usage": {"billed_units": _BILLED, "tokens": _READ, "cached_tokens": 576}},
        (1, 576, 0, 113, 0),
    ),
    ("cohere v1", {"text": "x", "meta": {"billed_units": _BILLED, "tokens": _READ}}, (577, 0, 0, 113, 0)),
    (
        "cohere embed",
        {"embeddings": {}, "meta": {"billed_units": {"input_tokens": 4, "image_tokens": 9}}},
        (13, 0, 0, 0, 0),
    ),
    (
        "cohere generate",
        {"id": "a", "generations": [{"id": "b", "text": "x"}], "prompt": "x", "meta": {"billed_units": _BILLED}},
        (377, 0, 0, 113, 0),
    ),
    ("cohere rerank", {"results": [], "meta": {"billed_units": {"search_units": 1}}}, "no_usage"),
    (
        "ollama chat",
        {"model": "m", "message": {}, "done": True, "prompt_eval_count": 11, "eval_count": 3},
        (11, 0, 0, 3, 0),
    ),
    ("ollama embed", {"model": "m", "embeddings": [[0.1]], "prompt_eval_count": 4}, (4, 0, 0, 0, 0)),
    ("ollama prompt from its cache", {"model": "m", "done": True, "eval_count": 3}, "invalid"),
    ("voyage", {"object": "list", "data": [], "model": "v", "usage": {"total_tokens": 18}}, (18, 0, 0, 0, 0)),
    ("voyage sdk", {"embeddings": [], "total_tokens": 18}, (18, 0, 0, 0, 0)),
    (
        "aleph alpha",
        {
            "completions": [{"finish_reason": "end"}],
            "model_version": "1",
            "num_tokens_prompt_total": 8,
            "num_tokens_generated": 2,
        },
        (8, 0, 0, 2, 0),
    ),
    ("watsonx", {"model_id": "m", "results": [{"input_token_count": 8, "generated_token_count": 2}]}, (8, 0, 0, 2, 0)),
    (
        "replicate",
        {
            "id": "p",
            "status": "succeeded",
            "metrics": {"predict_time": 1.2, "input_token_count": 8, "output_token_count": 2},
        },
        (8, 0, 0, 2, 0),
    ),
    (
        "groq x_groq",
        {"x_groq": {"usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}}, "choices": []},
        (8, 0, 0, 2, 0),
    ),
    ("langchain reasoning in total", _chain(35, 12, 109), (35, 0, 0, 12, 62)),
    ("langchain reasoning beside", _chain(32, 9, 274, output_token_details={"reasoning": 233}), (32, 0, 0, 9, 233)),
    (
        "langchain priority tier",
        _chain(40, 9, 49, input_token_details={"priority_cache_read": 30, "priority": 10}),
        (10, 30, 0, 9, 0),
    ),
    (
        "langchain raw compaction",
        _chain(30, 8, 38, {"usage": {"input_tokens": 30, "output_tokens": 8, "iterations": [_COMPACTION, _LAST]}}),
        (930, 500, 0, 78, 0),
    ),
    (
        "langchain raw cached",
        _chain(
            64,
            6,
            70,
            {"token_usage": {"prompt_tokens": 64, "completion_tokens": 6, "total_tokens": 70, "num_cached_tokens": 32}},
        ),
        (32, 32, 0, 6, 0),
    ),
    (
        "pydantic-ai",
        {
            "usage": {
                "input_tokens": 90,
                "cache_read_tokens": 60,
                "cache_write_tokens": 0,
                "output_tokens": 9,
                "details": {"reasoning_tokens": 4},
            }
        },
        (30, 60, 0, 5, 4),
    ),
    (
        "genai-prices",
        {"usage": {"input_tokens": 136, "input_tool_tokens": 45, "output_tokens": 414, "output_reasoning_tokens": 213}},
        (136, 0, 0, 201, 213),
    ),
    (
        "cache read of an unknown framework",
        {"usage": {"input_tokens": 90, "cache_read_tokens": 60, "output_tokens": 9}},
        "unrecognised",
    ),
    (
        "crewai",
        {
            "tasks_output": [],
            "token_usage": {
                "prompt_tokens": 90,
                "cached_prompt_tokens": 60,
                "completion_tokens": 9,
                "total_tokens": 99,
            },
        },
        (30, 60, 0, 9, 0),
    ),
    (
        "openai-agents",
        {
            "raw_responses": [
                {
                    "response_id": str(n),
                    "usage": _responses(9, 2, input_tokens_details={"cached_tokens": 4}, requests=1),
                }
                for n in (1, 2)
            ]
        },
        (10, 8, 0, 4, 0),
    ),
    (
        "langgraph after the question",
        {
            "messages": [
                {"type": "human"},
                {**_chain(90, 9, 99), "id": "old"},
                {"type": "human"},
                {**_chain(5, 1, 6), "id": "a"},
                {**_chain(7, 2, 9), "id": "b"},
            ]
        },
        (12, 0, 0, 3, 0),
    ),
    ("llama-index raw", {"message": "x", "raw": _chat(8, 2, 10)}, (8, 0, 0, 2, 0)),
    (
        "llama-index agent after its tools",  # it keeps the last of several answers
        {"response": "x", "current_agent_name": "a", "raw": _chat(8, 2, 10), "tool_calls": [{"tool_name": "t"}]},
        "unrecognised",
    ),
    ("instructor pair", ({"answer": 1}, _chat(8, 2, 10)), (8, 0, 0, 2, 0)),
    ("batch", [{**_chat(8, 2, 10), "id": "a"}, {**_chat(8, 2, 10), "id": "b"}], (16, 0, 0, 4, 0)),
    ("pair of one answer", ({**_chat(8, 2, 10), "id": "a"}, {**_chat(8, 2, 10), "id": "a"}), (8, 0, 0, 2, 0)),
    ("batch with one that does not tell", [{**_chat(8, 2, 10), "id": "a"}, {"id": "b", "choices": []}], "no_usage"),
    (
        "vertex stream as a list",
        [
            {"candidates": [{}], "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8}},
            {
                "candidates": [{"finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 2, "totalTokenCount": 10},
            },
        ],
        (8, 0, 0, 2, 0),
    ),
]


def _start(identity: str, **usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": identity, "model": "c", "usage": usage}}


def _delta(stop: str = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage}


def _answer(identity: str, given: int, made: int) -> list[dict[str, Any]]:
    usage = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
    piece = {"id": identity, "model": "m", "choices": [{"delta": {"content": "x"}, "finish_reason": None}]}
    return [
        piece,
        {**piece, "choices": [{"delta": {}, "finish_reason": "stop"}]},
        {**piece, "choices": [], "usage": usage},
    ]


def _event(identity: str, given: int, made: int) -> list[dict[str, Any]]:
    done = {"id": identity, "status": "completed", "usage": _responses(given, made)}
    return [
        {"type": "response.created", "response": {"id": identity}},
        {"type": "response.completed", "response": done},
    ]


def _gemini(identity: str, given: int, made: int) -> list[dict[str, Any]]:
    usage = {"promptTokenCount": given, "candidatesTokenCount": made, "totalTokenCount": given + made}
    return [
        {"responseId": identity, "candidates": [{}], "usageMetadata": {**usage, "candidatesTokenCount": 0}},
        {"responseId": identity, "candidates": [{"finishReason": "STOP"}], "usageMetadata": usage},
    ]


def _piece(given: int, made: int, identity: str = "run-1", **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    return {"type": "AIMessageChunk", "id": identity, "response_metadata": {}, "usage_metadata": usage, **more}


def _trace(given: int, made: int) -> dict[str, Any]:
    output = {"metadata": {"usage": {"inputTokens": given, "outputTokens": made}}}
    return {"trace": {"trace": {"orchestrationTrace": {"modelInvocationOutput": output}}}}


def _metrics(given: int, made: int) -> dict[str, Any]:
    return {"amazon-bedrock-invocationMetrics": {"inputTokenCount": given, "outputTokenCount": made}}


def _watson(given: int, made: int, stop: str = "not_finished") -> dict[str, Any]:
    result = {"input_token_count": given, "generated_token_count": made, "stop_reason": stop}
    return {"model_id": "m", "results": [result]}


STREAMS: list[Row] = [
    (
        "anthropic compaction",
        [
            _start("a", input_tokens=900, cache_read_input_tokens=500, output_tokens=1),
            _delta(input_tokens=30, cache_read_input_tokens=0, output_tokens=8, iterations=[_COMPACTION, _LAST]),
        ],
        (930, 500, 0, 78, 0),
    ),
    (
        "anthropic refusal",
        [_start("a", input_tokens=9, output_tokens=1), _delta("refusal", output_tokens=0)],
        (9, 0, 0, 0, 0),
    ),
    (
        "anthropic cache found late",
        [
            _start("a", input_tokens=120, output_tokens=1),
            _delta(input_tokens=0, cache_read_input_tokens=120, output_tokens=5),
        ],
        (0, 120, 0, 5, 0),
    ),
    (
        "anthropic two answers",
        [
            _start("a", input_tokens=9, output_tokens=1),
            _delta(output_tokens=3),
            _start("b", input_tokens=7, output_tokens=1),
            _delta(output_tokens=2),
        ],
        (16, 0, 0, 5, 0),
    ),
    (
        "anthropic second answer cut",
        [
            _start("a", input_tokens=9, output_tokens=1),
            _delta(output_tokens=3),
            _start("b", input_tokens=7, output_tokens=1),
        ],
        "stream_cut",
    ),
    ("chat two answers", [*_answer("a", 9, 3), *_answer("b", 7, 2)], (16, 0, 0, 5, 0)),
    ("chat ids that change", [{**piece, "id": str(n)} for n, piece in enumerate(_answer("a", 9, 3))], (9, 0, 0, 3, 0)),
    (
        "chat groq",
        [
            {
                "choices": [{"delta": {}, "finish_reason": "stop"}],
                "x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}},
            }
        ],
        (9, 0, 0, 3, 0),
    ),
    (
        "chat moonshot",
        [
            {
                "choices": [
                    {
                        "delta": {},
                        "finish_reason": "stop",
                        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cached_tokens": 4},
                    }
                ]
            }
        ],
        (5, 4, 0, 3, 0),
    ),
    ("responses two answers", [*_event("a", 9, 3), *_event("b", 7, 2)], (16, 0, 0, 5, 0)),
    ("responses second answer cut", [*_event("a", 9, 3), *_event("b", 7, 2)[:1]], "stream_cut"),
    ("responses ids that change", [_event("a", 9, 3)[0], _event("b", 9, 3)[1]], (9, 0, 0, 3, 0)),
    (
        "transcription",
        [
            {"type": "transcript.text.delta", "delta": "x"},
            {"type": "transcript.text.done", "usage": {"type": "tokens", **_responses(9, 2)}},
        ],
        (9, 0, 0, 2, 0),
    ),
    ("image", [{"type": "image_generation.completed", "usage": _responses(9, 200)}], (9, 0, 0, 200, 0)),
    ("gemini function calling", [*_gemini("a", 9, 3), *_gemini("b", 15, 2)], (24, 0, 0, 5, 0)),
    (
        "gemini interaction",
        [
            {"event_type": "interaction.created", "interaction": {"id": "v"}},
            {
                "event_type": "step.delta",
                "metadata": {"usage": {**_GOOGLE, "total_output_tokens": 1, "total_tokens": 1394}},
            },
            {
                "event_type": "interaction.completed",
                "interaction": {"id": "v", "status": "completed", "usage": _GOOGLE},
            },
        ],
        (210, 10, 0, 590, 1173),
    ),
    (
        "cohere v2",
        [
            {"type": "message-start", "id": "a"},
            {"type": "content-delta"},
            {
                "type": "message-end",
                "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": _BILLED, "tokens": _READ}},
            },
        ],
        (577, 0, 0, 113, 0),
    ),
    (
        "cohere v1",
        [
            {"event_type": "text-generation"},
            {"event_type": "stream-end", "response": {"meta": {"billed_units": _BILLED, "tokens": _READ}}},
        ],
        (577, 0, 0, 113, 0),
    ),
    (
        "ollama",
        [
            {"model": "m", "message": {}, "done": False},
            {"model": "m", "done": True, "prompt_eval_count": 11, "eval_count": 3},
        ],
        (11, 0, 0, 3, 0),
    ),
    ("ollama without an end", [{"model": "m", "message": {}, "done": False}], "stream_cut"),
    ("watsonx", [_watson(8, 0), _watson(0, 1), _watson(0, 2, "eos_token")], (8, 0, 0, 2, 0)),
    ("bedrock decoded llama", [{"generation": "x"}, {"generation": "", **_metrics(9, 3)}], (9, 0, 0, 3, 0)),
    (
        "bedrock decoded deepseek",
        [{"choices": [{"text": "x"}]}, {"choices": [{"text": "", "finish_reason": "stop"}], **_metrics(9, 3)}],
        (9, 0, 0, 3, 0),
    ),
    (
        "bedrock decoded claude",
        [
            _start("a", input_tokens=9, output_tokens=1),
            _delta(output_tokens=3),
            {"type": "message_stop", **_metrics(9, 3)},
        ],
        (9, 0, 0, 3, 0),
    ),
    (
        "anthropic batch",
        [
            {"custom_id": key, "result": {"type": "succeeded", "message": {"id": key, **_message(**usage)}}}
            for key, usage in (
                ("a", {"input_tokens": 9, "output_tokens": 3}),
                ("b", {"input_tokens": 7, "output_tokens": 2}),
            )
        ],
        (16, 0, 0, 5, 0),
    ),
    (
        "openai run of an assistant",
        [
            {"id": "step", "object": "thread.run.step", "usage": _chat(9, 3, 12)["usage"]},
            {"id": "run", "object": "thread.run", "status": "completed", "usage": _chat(9, 3, 12)["usage"]},
        ],
        (9, 0, 0, 3, 0),
    ),
    ("bedrock agent", [_trace(100, 5), {"chunk": {"bytes": b"x"}}, _trace(200, 6)], (300, 0, 0, 11, 0)),
    (
        "bedrock two answers",
        [
            {"messageStart": {}},
            {"metadata": {"usage": {"inputTokens": 9, "outputTokens": 3}}},
            {"messageStart": {}},
            {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 2}}},
        ],
        (16, 0, 0, 5, 0),
    ),
    ("langchain corrections", [_piece(10, 5), _piece(0, -1), _piece(0, 4, chunk_position="last")], (10, 0, 0, 8, 0)),
    (
        "langchain growing counts",
        [_piece(10, 1), _piece(10, 2), _piece(10, 3, chunk_position="last")],
        (10, 0, 0, 3, 0),
    ),
    (
        "langchain two messages",
        [_piece(10, 1, chunk_position="last"), _piece(10, 2, "b", chunk_position="last")],
        (20, 0, 0, 3, 0),
    ),
    (
        "langchain events",
        [
            {"event": "on_chat_model_start", "run_id": "1", "data": {}},
            {"event": "on_chat_model_stream", "run_id": "1", "data": {"chunk": _piece(10, 1)}},
            {"event": "on_chat_model_end", "run_id": "1", "data": {"output": _chain(10, 1, 11)}},
            {"event": "on_chain_end", "run_id": "0", "data": {"output": _chain(10, 1, 11)}},
        ],
        (10, 0, 0, 1, 0),
    ),
    ("langgraph messages", [(_piece(10, 1, chunk_position="last"), {"langgraph_node": "n"})], (10, 0, 0, 1, 0)),
    (
        "openai-agents events",
        [{"type": "raw_response_event", "data": event} for event in _event("a", 9, 3)],
        (9, 0, 0, 3, 0),
    ),
    (
        "dashscope",
        [
            {"request_id": "r", "output": {"finish_reason": "null"}, "usage": _responses(9, 1)},
            {"request_id": "r", "output": {"finish_reason": "stop"}, "usage": _responses(9, 3)},
        ],
        (9, 0, 0, 3, 0),
    ),
]
