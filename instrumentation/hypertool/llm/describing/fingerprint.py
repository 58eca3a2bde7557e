"""The fingerprint of a prompt whose content is not recorded: it shows whether prompts are equal, and nothing else.

It is keyed, because a plain hash does not protect text that can be guessed: a reader of the traces could try every
e-mail address, or every answer to a yes-or-no question. The key belongs to the host and stays in its store, so that
all processes of a host agree; copy `fingerprint.key` to compare hosts.
"""

from __future__ import annotations

import functools
import marshal
import os
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from ...errors import StoreUnavailable
from ...metrics.core import shared
from ...runtime.logs import once
from ...store.fingerprint_key import fingerprint_key
from ..reading.view import view

_DEPTH = 12

# A prompt up to this size is hashed whole. For a longer text the hash covers its length, both ends and samples in
# between, for a longer list its length, beginning and end: hashing runs in the caller's thread, or on its event loop.
_WHOLE = 32_768
_ENDS = 4_096
_SAMPLES, _SAMPLE = 64, 128
_FIRST_ITEMS, _LAST_ITEMS = 8, 56
_BUDGET, _NODE = 131_072, 64


@functools.cache
def _keyed() -> blake2b:
    """A hash that already has the key: copying it costs less than keying a new one."""
    return blake2b(digest_size=8, key=_key())


def _key() -> bytes:
    store = shared().store
    if store is not None:
        try:
            return fingerprint_key(store.directory)
        except (OSError, StoreUnavailable) as error:
            once.warn(
                "fingerprint-key",
                f"prompt fingerprints are this process's own: the host's key cannot be had ({type(error).__name__})",
            )
    return os.urandom(32)


def fingerprint(prompt: Any) -> str | None:
    """16 hexadecimal digits; None without a prompt, or for a prompt that cannot be inspected. Never raises."""
    if prompt is None:
        return None
    try:
        if type(prompt) is str:
            data = (prompt if len(prompt) <= _WHOLE else _sampled(prompt)).encode("utf-8", "surrogatepass")
        elif _room(prompt, _WHOLE, _DEPTH) < 0:
            data = marshal.dumps(_plain(prompt, _DEPTH, [_BUDGET]), 0)
        else:
            try:
                data = marshal.dumps(prompt, 0)  # format 0 has no references: equal values give equal bytes
            except ValueError:  # contains an SDK's message class
                data = marshal.dumps(_plain(prompt, _DEPTH, [_BUDGET]), 0)
        found = _keyed().copy()
        found.update(data)
        return found.hexdigest()
    except Exception as error:  # a foreign object may raise anything when inspected
        once.warn("fingerprint", f"a prompt of type {type(prompt).__name__} has no fingerprint: {type(error).__name__}")
        return None


def _room(value: Any, left: int, depth: int) -> int:
    """The size budget `left` minus the size of `value`; stops, below 0, as soon as the budget is exceeded."""
    kind = type(value)
    if kind is str or kind is bytes:
        return left - len(value) - 8
    left -= 8
    if depth and left >= 0:
        if kind is list or kind is tuple:
            for item in value:
                left = _room(item, left, depth - 1)
                if left < 0:
                    break
        elif kind is dict:
            for key, item in value.items():
                left = _room(item, left - len(key) if type(key) is str else left, depth - 1)
                if left < 0:
                    break
        elif kind is bytearray or kind is memoryview:
            left -= len(value)
    return left


def _sampled(text: Any) -> Any:
    """A text or bytes: whole if short, only parts if long."""
    size = len(text)
    if size <= 2 * _ENDS + _SAMPLES * _SAMPLE:
        return text
    step = (size - 2 * _ENDS) // _SAMPLES
    parts = [text[at : at + _SAMPLE] for at in range(_ENDS, size - _ENDS, step)]
    whole = type(text)().join((text[:_ENDS], *parts, text[-_ENDS:]))
    return whole + (f"|{size}" if isinstance(text, str) else b"|%d" % size)


def _plain(value: Any, depth: int, budget: list[int]) -> Any:
    """`value` as plain values; once the budget is used up, only sizes and types of the rest."""
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return value
    if isinstance(value, (str, bytes, bytearray)):
        part = _sampled(str.__str__(value) if isinstance(value, str) else bytes(value))
        budget[0] -= len(part)
        return part if budget[0] > 0 else len(value)
    budget[0] -= _NODE
    if depth == 0 or budget[0] <= 0:
        return kind.__name__
    if isinstance(value, (list, tuple)):
        items = value
        if len(items) > _FIRST_ITEMS + _LAST_ITEMS:
            items = [len(items), *items[:_FIRST_ITEMS], *items[-_LAST_ITEMS:]]
        return [_plain(item, depth - 1, budget) for item in items]
    if isinstance(value, (int, float)):
        return repr(value)
    fields = value if kind is dict or isinstance(value, Mapping) else view(value)
    return [kind.__name__, *([str(key), _plain(item, depth - 1, budget)] for key, item in fields.items())]
