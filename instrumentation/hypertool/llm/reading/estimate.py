"""Estimates tokens from text, only on request; the result is marked as an estimate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .usage import Usage

_LATIN_CHARACTERS_PER_TOKEN = 4
_DEPTH = 8


def estimate_usage(prompt: Any, completion: Any = "") -> Usage:
    """Tokens of `prompt` and `completion` by rule of thumb; `estimated` is set.

    Both may be text or a structure that holds text (message lists, content parts). Four ASCII characters count as a
    token, every other character as one: accurate to about a third for prose, and not meant for billing.
    """
    return Usage(input=_tokens(prompt), output=_tokens(completion), estimated=True)


def _tokens(value: Any) -> int:
    ascii_characters = others = 0
    for text in _texts(value, _DEPTH):
        plain = len(text) if text.isascii() else sum(map(str.isascii, text))
        ascii_characters += plain
        others += len(text) - plain
    return -(-ascii_characters // _LATIN_CHARACTERS_PER_TOKEN) + others


def _texts(value: Any, depth: int) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, Mapping):
        # Ids, roles and types are a few tokens of framing; an inlined image is not text at all.
        for key in ("content", "text", "parts", "input", "arguments"):
            if key in value:
                yield from _texts(value[key], depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item, depth - 1)
    elif depth and value is not None and not isinstance(value, (bytes, bytearray, int, float)):
        yield from _texts(getattr(value, "content", None), depth - 1)
