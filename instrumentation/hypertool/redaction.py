"""The one point that every message, stack and reason passes on its way out: no credentials, and not too long."""

from __future__ import annotations

import re

MESSAGE_LIMIT = 1_000
STACK_LIMIT = 8_000
REDACTED = "[redacted]"

# Shapes of credentials, not of words: a pattern that eats ordinary prose would hide the error it stands in.
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), REDACTED),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {REDACTED}"),
    (re.compile(r"\b(?:[sprk]k-(?:[a-z]+-)*|gh[opusr]_|github_pat_|glpat-|glc_|glsa_|xox[abeprs]-)[A-Za-z0-9_-]{8,}"),
     REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), REDACTED),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), REDACTED),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization)[\"']?\s*[=:]\s*[\"']?)"
                r"(?!\[redacted\]|bearer\b|basic\b)[^\s\"',;&]{4,}"), rf"\1{REDACTED}"),
)


def redact(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """`text` without what looks like a credential, at most `limit` characters long (the cut is marked)."""
    # Bound the work first: a 100 MB message must not cost a second in somebody's exception handler.
    text = text[: 4 * limit]
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= limit else text[: limit - 3] + "..."
