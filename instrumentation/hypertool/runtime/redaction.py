"""Redaction: removes credentials and e-mail addresses from every text of a span, a score or a log line, and cuts it.

`hypertool.set_redaction` (`redaction_hook`) adds what only the application knows. The time is bounded: a text is cut
first, and every pattern is linear in what is left.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

MESSAGE_LIMIT = 1_000
LOG_LIMIT = 4_000
STACK_LIMIT = 8_000
NAME_LIMIT = 200
REDACTED = "[redacted]"

Hook = Callable[[str], str]

# How far beyond its limit a text is looked at: what follows a long credential moves up when that is taken out.
_WORK = 4
# Where a text was cut may stand the half of what a pattern knows as a whole; longer halves are known.
_FRAGMENT = 256

# Issuers' published prefixes, of which none is part of a word, and what follows them.
_PREFIXES = (
    (r"sk-(?:ant|proj|lf|or|svcacct|admin)-|pk-lf-|[spr]k_(?:live|test)_", r"[\w-]{8,}"),
    (r"AKIA|ASIA", r"[A-Z0-9]{16}"),
    (r"gh[opusr]_|github_pat_|gl(?:pat|dt|rt|ptt)-", r"[\w-]{8,}"),
    (r"glc_|glsa_", r"[\w=+/-]{8,}"),
    (r"xox[abeoprs]-|xapp-|xoxe\.xox[bp]-", r"[\w-]{8,}"),
    (r"AIza", r"[\w-]{30,}"),
    (r"ya29\.|GOCSPX-|hv[sb]\.|SG\.", r"[\w.-]{16,}"),
    (r"gsk_|pplx-|nvapi-|lsv2_[ps]t_|dop_v1_|dckr_pat_|shpat_|pypi-AgE|npm_(?!config)", r"[\w-]{16,}"),
)
# Prefixes that end ordinary words too (disk-, half_): at the start of a word only. JSON within JSON writes a line
# end before it as two characters, of which the second is no letter of a word.
_SHORT_PREFIXES = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))(?:[sprk]k-[\w-]{8,}|hf_\w{16,}|r8_\w{16,}|xai-[\w-]{16,})"
_WORDS = (
    "passwo?r?d",
    "passphrase",
    "pwd",
    r"secret(?:[_-]?access)?(?:[_-]?key)?",
    "token",
    r"(?:api|access|account|private)[_-]?key",
    "authorization",
    "credentials?",
)
# A word for a secret, `=` or `:`, and the value: in quotes (those of JSON within JSON too), or one word.
_ASSIGNED = (
    rf"((?i:{'|'.join(_WORDS)})[\"'\\]{{0,16}}\s{{0,8}}[=:]\s{{0,8}}(?:\\{{0,15}}[\"'])?)"
    r"(?:(?i:[a-z]{2,12}) )?"
    r"(?:(?<=\")(?:[^\"\n\\]|\\[^\"\n]){1,2000}|(?<=')(?:[^'\n\\]|\\[^'\n]){1,2000}|[^\s\"',;&\[\\]{4,2000})"
)
# `--db-password hunter2` and `curl -u me:hunter2`: prompts and errors of coding agents are full of command lines.
_OPTION = rf"(--(?:[a-z]{{1,20}}-){{0,4}}(?i:{'|'.join(_WORDS)})[ \t]{{1,4}}[\"']?)[^\s\"']{{4,2000}}"
_USER = r"((?:\s-u|--user)[ =][\"']?[^\s:\"']{1,64}:)[^\s\"']{3,2000}"
_SCHEME = r"((?i:bearer|basic)\s{1,8})(?:[\w.~+/=-]{16,}|(?=[A-Za-z._~+/=-]{0,64}[0-9])[\w.~+/=-]{8,})"
_PRIVATE_KEY = r"[A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"

_NAMED = re.compile(rf"(?i:{'|'.join(_WORDS)})\Z")
_ISSUED = re.compile("|".join(f"(?:{prefix}){rest}" for prefix, rest in _PREFIXES), re.A)
_SHORT = re.compile(_SHORT_PREFIXES, re.A)
# The first two characters of all of them, and of what is encoded in base64.
_BEGINNINGS = (
    "sk",
    "pk",
    "rk",
    "AK",
    "AS",
    "gh",
    "gi",
    "gl",
    "xo",
    "xa",
    "AI",
    "ya",
    "GO",
    "hv",
    "SG",
    "gs",
    "pp",
    "nv",
    "ls",
    "do",
    "dc",
    "sh",
    "py",
    "np",
    "hf",
    "r8",
    "ey",
)
_PLAIN_ID = re.compile(rf"(?!{'|'.join(_BEGINNINGS)})[A-Za-z0-9_-]{{1,{NAME_LIMIT}}}\Z").match

# What a text must contain for the pattern to be looked for, the pattern, and what takes its place. They are shapes of
# credentials, not of words: a pattern that eats ordinary prose would hide the error it stands in.
_PATTERNS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (("PRIVATE KEY",), re.compile(rf"-----BEGIN {_PRIVATE_KEY}.*?(?:-----END {_PRIVATE_KEY}|\Z)", re.S), REDACTED),
    (("PRIVATE KEY",), re.compile(rf"\A.*?-----END {_PRIVATE_KEY}", re.S), REDACTED),
    (("eyJ",), re.compile(r"eyJ[\w-]{17,}(?:\.[\w-]*){0,4}"), REDACTED),
    (("-", "_", "AKIA", "ASIA", "AIza", "."), _ISSUED, REDACTED),
    (("k-", "hf_", "r8_", "xai-"), _SHORT, REDACTED),
    (("earer", "EARER", "asic", "ASIC"), re.compile(_SCHEME), rf"\1{REDACTED}"),
    ((":", "="), re.compile(_ASSIGNED), rf"\1{REDACTED}"),
    (("--",), re.compile(_OPTION), rf"\1{REDACTED}"),
    (("-u", "--user"), re.compile(_USER), rf"\1{REDACTED}"),
    (("ookie",), re.compile(r"([Cc]ookie[\"']?\s{0,8}:\s{0,8}[\"']?)[^\n\"']{4,}"), rf"\1{REDACTED}"),
    (("://",), re.compile(r"://[^/\s@\"']{1,1000}@"), f"://{REDACTED}@"),
    (("hooks.slack.com",), re.compile(r"(hooks\.slack\.com/services/)[\w/]{8,}"), rf"\1{REDACTED}"),
    (("@",), re.compile(r"(?<![\w.%+-])[\w.%+-]+@(?:[\w-]+\.)+[^\W\d_]{2,}"), REDACTED),
)


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
    return _NAMED.search(key) is not None


def redact_id(text: str) -> str:
    """The same for an id, which is new each time; cheap where it is one word, and no credential's beginning."""
    return text if _hook is None and _PLAIN_ID(text) else redact(text, NAME_LIMIT)


def _cleaned(text: str) -> str:
    for hints, pattern, replacement in _PATTERNS:
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
