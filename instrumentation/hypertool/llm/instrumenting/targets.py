"""The SDK methods that make LLM calls; to add an SDK, add a row here."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """Methods of one class (or functions of a module, `owner` None) that each make one LLM call.

    `outermost`: calls of other SDKs inside such a call belong to it and are not counted separately.
    """

    package: str
    module: str
    owner: str | None
    methods: tuple[str, ...]
    outermost: bool = False


_STAINLESS = ("create", "parse")
_CONVERSE = tuple(
    verb + kind for verb in ("start", "append", "restart") for kind in ("", "_async", "_stream", "_stream_async")
)
_LITELLM = (
    "completion",
    "acompletion",
    "text_completion",
    "atext_completion",
    "embedding",
    "aembedding",
)
_RESPONSES = ("responses", "aresponses")


def _both(
    package: str, module: str, owner: str, methods: tuple[str, ...], outermost: bool = False
) -> tuple[Target, Target]:
    """A class and its async counterpart, with the same methods."""
    sync, later = (Target(package, module, prefix + owner, methods, outermost) for prefix in ("", "Async"))
    return sync, later


TARGETS: tuple[Target, ...] = (
    *_both("openai", "openai.resources.chat.completions.completions", "Completions", _STAINLESS),
    *_both("openai", "openai.resources.responses.responses", "Responses", (*_STAINLESS, "compact")),
    *_both("openai", "openai.resources.beta.responses.responses", "Responses", ("create", "compact")),
    *_both("openai", "openai.resources.completions", "Completions", ("create",)),
    *_both("openai", "openai.resources.embeddings", "Embeddings", ("create",)),
    *_both("openai", "openai.resources.images", "Images", ("generate", "edit")),
    *_both("openai", "openai.resources.audio.transcriptions", "Transcriptions", ("create",)),
    *_both("anthropic", "anthropic.resources.messages.messages", "Messages", (*_STAINLESS, "stream")),
    *_both("anthropic", "anthropic.resources.beta.messages.messages", "Messages", (*_STAINLESS, "stream")),
    *_both("groq", "groq.resources.chat.completions", "Completions", ("create",)),
    *_both("groq", "groq.resources.embeddings", "Embeddings", ("create",)),
    # Below the public methods: with automatic function calling, one public call makes several LLM calls.
    *_both("google.genai", "google.genai.models", "Models", ("_generate_content", "_generate_content_stream")),
    *_both("google.genai", "google.genai.models", "Models", ("_embed_content",)),
    *_both("google.genai", "google.genai._gaos.interactions", "Interactions", ("create",)),
    *_both("google.genai", "google.genai._gaos.decisions", "Decisions", ("create",)),
    *(
        Target("mistralai", f"mistralai.client.{module}", owner, methods)
        for module, owner, methods in (
            ("conversations", "Conversations", _CONVERSE),
            ("chat", "Chat", ("complete", "complete_async", "stream", "stream_async")),
            ("agents", "Agents", ("complete", "complete_async", "stream", "stream_async")),
            ("fim", "Fim", ("complete", "complete_async", "stream", "stream_async")),
            ("embeddings", "Embeddings", ("create", "create_async")),
            ("responses", "Responses", ("create", "create_async")),
            ("transcriptions", "Transcriptions", ("complete", "complete_async", "stream", "stream_async")),
        )
    ),
    *_both("cohere", "cohere.v2.client", "V2Client", ("chat", "chat_stream", "embed", "parse")),
    *_both("cohere", "cohere.base_client", "BaseCohere", ("chat", "chat_stream", "generate", "embed")),
    # Reached by `with_raw_response`, and by the methods above, whose calls they are then.
    *_both("cohere", "cohere.v2.raw_client", "RawV2Client", ("chat", "embed", "parse"), outermost=True),
    *_both("cohere", "cohere.raw_base_client", "RawBaseCohere", ("chat", "generate", "embed"), outermost=True),
    *_both("ollama", "ollama._client", "Client", ("chat", "generate", "embed", "systemone")),
    Target("ollama", "ollama", None, ("chat", "generate", "embed")),
    Target("litellm", "litellm.main", None, _LITELLM, outermost=True),
    Target("litellm", "litellm", None, _LITELLM, outermost=True),
    Target("litellm", "litellm.responses.main", None, _RESPONSES, outermost=True),
    Target("litellm", "litellm", None, _RESPONSES, outermost=True),
    Target("litellm", "litellm.anthropic_interface.messages", None, ("create", "acreate"), outermost=True),
    Target("botocore", "botocore.client", "BaseClient", ("_make_api_call",)),
)
