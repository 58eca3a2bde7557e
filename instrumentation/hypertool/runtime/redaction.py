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

# How far beyond its limit a text is looked at: what follows a long credential moves up when that is taken out.
_WORK = 4
# Where a text was cut may stand the half of what a pattern knows as a whole; longer halves are known.
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
    """The same for a text of lines whose end says most: a stack."""
    if len(text) > _WORK * limit:
        text = text[-_WORK * limit :].partition("\n")[2]
    text = _cleaned(text)
    return text if len(text) <= limit else "..." + text[len(text) - limit + 3 :]


@functools.lru_cache(maxsize=1024)
def redact_name(text: str) -> str:
    """The same for names that come again and again: of workflows, stages, models, keys."""
    return redact(text, NAME_LIMIT)


@functools.lru_cache(maxsize=256)
def redact_names(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Several of them that come together, again and again."""
    return tuple(map(redact_name, texts))


@functools.lru_cache(maxsize=1024)
def names_a_secret(key: str) -> bool:
    """Whether what stands under this key is one, whatever it looks like: `db_password`, `x-api-key`."""
    return NAMED.search(key) is not None


def redact_id(text: str) -> str:
    """The same for an id, which is new each time; cheap where it is one word, and no credential's beginning."""
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
        # Half a surrogate pair cannot be encoded, and would take the whole batch with it.
        text = text.encode("utf-8", "backslashreplace").decode()
    return text
