"""One line of the conformance table: a response as a real SDK gives it, and its partition as a person worked it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hypertool.llm import Missing, Reading, StreamReader, Usage, extract


@dataclass(frozen=True)
class Row:
    """`usage` is (input, cached, written, output, reasoning[, written for an hour]), or why it is missing."""

    name: str
    make: Callable[[], Any]
    usage: tuple[int, ...] | str
    model: str | None = None
    provider: str | None = None
    reasons: tuple[str, ...] = ()
    tier: str | None = None
    stream: bool = False
    cut_after: int | None = None

    def expected(self) -> Usage | Missing:
        if isinstance(self.usage, str):
            return Missing(self.usage)  # type: ignore[arg-type]
        return Usage(*self.usage[:5], cache_write_1h=self.usage[5] if len(self.usage) > 5 else 0)

    def read(self) -> Reading:
        made = self.make()
        if not self.stream:
            return extract(made)
        reader = StreamReader()
        chunks: Iterable[Any] = made
        for number, chunk in enumerate(chunks):
            if number == self.cut_after:
                return reader.finish(complete=False)
            reader.feed(chunk)
        assert self.cut_after is None, "the stream was shorter than where it was to be cut"
        return reader.finish()
