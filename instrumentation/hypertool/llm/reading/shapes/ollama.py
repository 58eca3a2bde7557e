"""Ollama's native API: chat, generate, embed.

Rule (https://github.com/ollama/ollama/blob/main/docs/api.md): `prompt_eval_count` is the prompt, `eval_count` the
answer, thinking included. An embedding has no answer. Servers that read a prompt from their own cache may omit
`prompt_eval_count`: the usage of such a call is unknown.

Streams: the chunk with `done` has both counts.
"""

from __future__ import annotations

from typing import Any

from ..answers import Answers
from ..counts import BadCount, Record, count, partition, usage_of
from ..fields import Fields, reading, text
from ..usage import Missing, Reading, Usage


def usage(record: Record) -> Usage | Missing:
    """The partition of the counts."""
    given, made = record.get("prompt_eval_count"), record.get("eval_count")
    if given is None and made is not None:
        raise BadCount("an answer without its prompt")
    return partition(count(given), 0, 0, count(made), 0)


def response(fields: Fields, provider: str | None) -> Reading:
    """A whole answer, or the last chunk of a stream."""
    stop = text(fields.get("done_reason"))
    return reading(usage_of(usage, fields), fields.get("model"), None, (stop,) if stop else (), provider, None)


def step(answers: Answers, fields: Fields) -> None:
    """A chunk."""
    if answers.ended:
        answers.begin(fields.get("model"), None, None)
        answers.needs_end = True
    if fields.get("done"):
        found = response(fields, None)
        answers.reasons += found.finish_reasons
        counts: dict[str, Any] = {name: fields.get(name) for name in ("prompt_eval_count", "eval_count")}
        if any(value is not None for value in counts.values()):
            answers.take(counts, usage, True)
        answers.settled = answers.ended = True
