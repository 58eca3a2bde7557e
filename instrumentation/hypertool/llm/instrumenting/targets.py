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


def _both(package: str, module: str, owner: str, methods: tuple[str, ...]) -> tuple[Target, Target]:
    """A class and its async counterpart, with the same methods."""
    return Target(package, module, owner, methods), Target(package, module, "Async" + owner, methods)


TARGETS: tuple[Target, ...] = (
    *_both("openai", "openai.resources.chat.completions.completions", "Completions", _STAINLESS),
    *_both("openai", "openai.resources.responses.responses", "Responses", _STAINLESS),
    *_both("openai", "openai.resources.completions", "Completions", ("create",)),
    *_both("openai", "openai.resources.embeddings", "Embeddings", ("create",)),
    *_both("openai", "openai.resources.images", "Images", ("generate", "edit")),
    *_both("openai", "openai.resources.audio.transcriptions", "Transcriptions", ("create",)),
    *_both("anthropic", "anthropic.resources.messages.messages", "Messages", (*_STAINLESS, "stream")),
    *_both("anthropic", "anthropic.resources.beta.messages.messages", "Messages", (*_STAINLESS, "stream")),
    *_both("groq", "groq.resources.chat.completions", "Completions", ("create",)),
    # Below the public methods: with automatic function calling, one public call makes several LLM calls.
    *_both("google.genai", "google.genai.models", "Models", ("_generate_content", "_generate_content_stream")),
    *_both("google.genai", "google.genai.models", "Models", ("_embed_content",)),
    *_both("google.genai", "google.genai._gaos.interactions", "Interactions", ("create",)),
    *(
        Target("mistralai", f"mistralai.client.{module}", owner, methods)
        for module, owner, methods in (
            ("conversations", "Conversations", _CONVERSE),
            ("chat", "Chat", ("complete", "complete_async", "stream", "stream_async")),
            ("agents", "Agents", ("complete", "complete_async", "stream", "stream_async")),
            ("fim", "Fim", ("complete", "complete_async", "stream", "stream_async")),
            ("embeddings", "Embeddings", ("create", "create_async")),
        )
    ),
    *_both("cohere", "cohere.v2.client", "V2Client", ("chat", "chat_stream", "embed")),
    *_both("cohere", "cohere.base_client", "BaseCohere", ("chat", "chat_stream", "generate", "embed")),
    *_both("ollama", "ollama._client", "Client", ("chat", "generate", "embed")),
    Target("ollama", "ollama", None, ("chat", "generate", "embed")),
    Target("litellm", "litellm.main", None, _LITELLM, outermost=True),
    Target("litellm", "litellm", None, _LITELLM, outermost=True),
    Target("litellm", "litellm.responses.main", None, _RESPONSES, outermost=True),
    Target("litellm", "litellm", None, _RESPONSES, outermost=True),
    Target("botocore", "botocore.client", "BaseClient", ("_make_api_call",)),
)
