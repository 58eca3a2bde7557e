"""A response of any SDK as a `Reading`; the reader for each type is chosen once.

Plain dicts, and objects of classes that are in no table, are recognised by their field names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...runtime.logs import once
from . import containers
from .classes import base_named, litellm_provider
from .responses import CLASSES, PROVIDERS, by_keys
from .shapes import openai_chat
from .streams import StreamReader, is_chunk
from .usage import INVALID, NO_USAGE, UNRECOGNISED, Reading
from .view import view

Reader = Callable[[Any], Reading]

_LIMIT = 1024
_readers: dict[type, Reader] = {}


def extract(response: Any) -> Reading:
    """What a complete response reports about its call. Never raises, never consumes a stream or a body."""
    kind = type(response)
    try:
        return (_readers.get(kind) or reader_for(kind))(response)
    except ValueError:  # an invalid count outside a usage record
        return Reading(INVALID)
    except Exception as error:  # a foreign object may raise anything when inspected
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


def _choose(kind: type) -> Reader:
    if issubclass(kind, (str, bytes, bytearray, int, float, type(None))):
        return lambda response: Reading(NO_USAGE)  # plain text carries no usage
    if kind is dict:
        return _dict
    entry = base_named(kind, CLASSES)
    if entry is not None:
        shape, provider = entry
        if kind.__module__.startswith("litellm"):
            return lambda response: shape(view(response), litellm_provider(response))
        return lambda response: shape(view(response), provider)
    inside = base_named(kind, containers.CLASSES)
    if inside is not None:
        return lambda response: containers.total(inside(response), extract)
    if issubclass(kind, (list, tuple)):
        return _sequence if not hasattr(kind, "_fields") else _named_tuple
    named = PROVIDERS.get(kind.__module__.partition(".")[0])
    return lambda response: _unknown(view(response), named)


def _dict(response: dict[str, Any]) -> Reading:
    record = response.get("usage")
    if type(record) is dict and "prompt_tokens" in record and "choices" in response:  # the most frequent one
        return openai_chat.response(response, None)
    found = by_keys(response, None)
    return found if found.usage is not UNRECOGNISED else _container(response, found)


def _unknown(fields: Any, provider: str | None) -> Reading:
    found = by_keys(fields, provider)
    return found if found.usage is not UNRECOGNISED else _container(fields, found)


def _container(fields: Any, found: Reading) -> Reading:
    """The sum of the responses in a mapping that is not a response itself."""
    parts = containers.inside(fields)
    return found if parts is None else _total(parts)


def _named_tuple(response: Any) -> Reading:
    found = by_keys(view(response), None)
    return found if found.usage is not UNRECOGNISED else _sequence(response)


def _sequence(response: Any) -> Reading:
    """A batch of responses, an answer with its raw response, or the chunks of a stream."""
    raw = getattr(response, "_raw_response", None)  # instructor's lists
    if raw is not None:
        return extract(raw)
    first = response[0] if response else None
    if len(response) > containers.PARTS_LIMIT or isinstance(first, (int, float)):
        return Reading(UNRECOGNISED)
    if first is not None and not isinstance(first, (str, list, tuple)) and is_chunk(first):
        stream = StreamReader()
        for chunk in response:
            stream.feed(chunk)
        return stream.finish()
    # In a batch (a list) equal ids are separate calls; in a tuple they are the same answer.
    return containers.total(response, extract, by_id=not isinstance(response, list))


def _total(parts: Iterable[Any]) -> Reading:
    return containers.total(parts, extract)
