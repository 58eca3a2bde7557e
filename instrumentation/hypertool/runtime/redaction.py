"""Redaction: removes credentials and e-mail addresses from every text of a span, a score or a log line, and cuts it.

`hypertool.set_redaction` (`redaction_hook`) adds what only the application knows. The time is bounded: a text is cut
first, and every pattern is linear in what is left.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from .credential_shapes import NAME_LIMIT, NAMED, PATTERNS, PLAIN_ID
from .credential_shapes import REDACTED as REDACTED

MESSAGE_LIMIT = 1_000
LOG_LIMIT = 4_000
STACK_LIMIT = 8_000

Hook = Callable[[str], str]

# A text is examined up to this multiple of its limit: text after a removed credential moves up.
_WORK = 4
# Characters dropped before a cut: they may be the start of a credential that no pattern recognises.
_FRAGMENT = 256


_hook: Hook | None = None


def install_hook(hook: Hook | None) -> None:
    """Let `hook` see every text after the built-in patterns; `redaction_hook` wraps the application's function."""
    global _hook
    _hook = hook
    redact_name.cache_clear()
    redact_names.cache_clear()


def redact(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """`text` without credentials and e-mail addresses, at most `limit` characters long (the cut is marked)."""
    cut = len(text) > _WORK * limit
    text = _cleaned(text[: _WORK * limit] if cut else text)
    if cut and len(text) <= limit:
        text = text[:-_FRAGMENT] + "..."
    return text if len(text) <= limit else text[: limit - 3] + "..."


def redact_tail(text: str, limit: int = STACK_LIMIT) -> str:
    """Like `redact`, but keeps the end: for stacks, whose last lines say most."""
    if len(text) > _WORK * limit:
        text = text[-_WORK * limit :].partition("\n")[2]
    text = _cleaned(text)
    return text if len(text) <= limit else "..." + text[len(text) - limit + 3 :]


@functools.lru_cache(maxsize=1024)
def redact_name(text: str) -> str:
    """Like `redact`, cached, for recurring names: workflows, stages, models, keys."""
    return redact(text, NAME_LIMIT)


@functools.lru_cache(maxsize=256)
def redact_names(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Like `redact_name`, for names that recur together."""
    return tuple(map(redact_name, texts))


@functools.lru_cache(maxsize=1024)
def names_a_secret(key: str) -> bool:
    """Whether the value of this key is a secret whatever it looks like: `db_password`, `x-api-key`."""
    return NAMED.search(key) is not None


def redact_id(text: str) -> str:
    """Like `redact`, for ids, which are new each time: cheap for a single word that cannot start a credential."""
    return text if _hook is None and PLAIN_ID(text) else redact(text, NAME_LIMIT)


def _cleaned(text: str) -> str:
    for hints, pattern, replacement in PATTERNS:
        for hint in hints:
            if hint in text:
                text = pattern.sub(replacement, text)
                break
    if _hook is not None:
        text = _hook(text)
    if not text.isascii():
        # A lone surrogate cannot be encoded and would fail the whole batch.
        text = text.encode("utf-8", "backslashreplace").decode()
    return text
