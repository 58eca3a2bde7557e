"""What stands for a prompt where its words are not recorded: equal prompts have equal fingerprints, and that is all.

It is keyed, because a plain hash is no secret for what can be guessed: who has the traces could try every e-mail
address, or every answer to a yes-or-no question. The key is the host's own and stays in its store, so that all
processes of a host agree; copy `fingerprint.key` to compare hosts.
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


@functools.cache
def _keyed() -> blake2b:
    """A hash that has the key already: a copy of it costs less than to key another one."""
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
    """16 hexadecimal digits; None where there is no prompt, or one that cannot be looked into. Never raises."""
    if prompt is None:
        return None
    try:
        if type(prompt) is str:
            data = prompt.encode("utf-8", "surrogatepass")
        else:
            try:
                data = marshal.dumps(prompt, 0)  # the format without references: equal values are equal bytes
            except ValueError:  # a message class of some SDK
                data = marshal.dumps(_plain(prompt, _DEPTH), 0)
        found = _keyed().copy()
        found.update(data)
        return found.hexdigest()
    except Exception as error:  # a foreign object may raise anything when it is looked at
        once.warn("fingerprint", f"a prompt of type {type(prompt).__name__} has no fingerprint: {type(error).__name__}")
        return None


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if depth == 0:
        return type(value).__name__
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth - 1) for item in value]
    fields = value if isinstance(value, Mapping) else view(value)
    return [type(value).__name__, *([str(key), _plain(item, depth - 1)] for key, item in fields.items())]
