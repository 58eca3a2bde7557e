"""A response, of whatever SDK, as a `Reading`: which shape belongs to which class, looked up once per type.

Plain dicts, and objects of classes that nobody knows, are told by their keys.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from ...runtime.logs import once
from . import responses as shapes
from .providers import provider_name
from .usage import NO_USAGE, UNRECOGNISED, Reading
from .view import view

Reader = Callable[[Any], Reading]

# (top package, class) -> shape, provider. Subclasses inherit: OpenAI's parsed completions, Anthropic's beta messages.
TABLE: dict[tuple[str, str], tuple[shapes.Shape, str | None]] = {
    ("openai", "ChatCompletion"): (shapes.chat, "openai"),
    ("openai", "Completion"): (shapes.chat, "openai"),
    ("openai", "CreateEmbeddingResponse"): (shapes.chat, "openai"),
    ("openai", "Response"): (shapes.responses, "openai"),
    ("openai", "ImagesResponse"): (shapes.responses, "openai"),
    ("anthropic", "Message"): (shapes.anthropic, "anthropic"),
    ("anthropic", "BetaMessage"): (shapes.anthropic, "anthropic"),
    ("google", "GenerateContentResponse"): (shapes.gemini, "gcp.gen_ai"),
    ("mistralai", "ChatCompletionResponse"): (shapes.chat, "mistral_ai"),
    ("mistralai", "FIMCompletionResponse"): (shapes.chat, "mistral_ai"),
    ("mistralai", "EmbeddingResponse"): (shapes.chat, "mistral_ai"),
    ("mistralai", "ConversationResponse"): (shapes.chat, "mistral_ai"),
    ("litellm", "ModelResponse"): (shapes.chat, None),
    ("litellm", "TextCompletionResponse"): (shapes.chat, None),
    ("litellm", "EmbeddingResponse"): (shapes.chat, None),
    ("langchain_core", "AIMessage"): (shapes.langchain, None),
    ("langchain_core", "LLMResult"): (shapes.generations, None),
    ("langchain_core", "ChatResult"): (shapes.generations, None),
}
_LIMIT = 1024
_by_keys = functools.partial(shapes.by_keys, provider=None)
_readers: dict[type, Reader] = {}


def extract(response: Any) -> Reading:
    """What a complete response says about its call. Never raises, never consumes a stream or a body."""
    kind = type(response)
    try:
        return (_readers.get(kind) or reader_for(kind))(response)
    except Exception as error:  # a foreign object may raise anything when it is looked at
        name = f"{kind.__module__}.{kind.__qualname__}"
        once.warn(
            "llm-extract:" + name,
            f"the usage of {name} cannot be read ({type(error).__name__}); such calls are counted as unrecognised",
        )
        return Reading(UNRECOGNISED)


def reader_for(kind: type) -> Reader:
    """The reader of instances of `kind`."""
    known = _readers.get(kind)
    if known is None:
        if len(_readers) >= _LIMIT:
            _readers.clear()
        known = _readers[kind] = _choose(kind)
    return known


def base_named(kind: type, table: Any) -> Any:
    """The entry of `table` for `kind` or the nearest base class, by top package and class name, or None."""
    for base in kind.__mro__:
        # Generic pydantic classes carry their parameter in the name: ParsedChatCompletion[Answer].
        found = table.get((base.__module__.partition(".")[0], base.__name__.partition("[")[0]))
        if found is not None:
            return found
    return None


def _choose(kind: type) -> Reader:
    if issubclass(kind, (str, bytes, bytearray, int, float, type(None))):
        return lambda response: Reading(NO_USAGE)  # text has no usage, and says so
    if kind is dict:
        return _by_keys
    entry = base_named(kind, TABLE)
    if entry is None:
        provider = {"openai": "openai", "anthropic": "anthropic", "mistralai": "mistral_ai"}.get(
            kind.__module__.partition(".")[0]
        )
        return lambda response: shapes.by_keys(view(response), provider)
    shape, provider = entry
    if kind.__module__.startswith("litellm"):
        return lambda response: shape(view(response), litellm_provider(response))
    return lambda response: shape(view(response), provider)


_hidden = operator.attrgetter("_hidden_params")


def litellm_provider(response: Any) -> str | None:
    """Who LiteLLM called, as its response says beside its fields."""
    hidden = _hidden(response)
    if not isinstance(hidden, dict):
        return None
    named = hidden.get("custom_llm_provider") or str(hidden.get("litellm_model_name", "")).partition("/")[0]
    return provider_name(named)
