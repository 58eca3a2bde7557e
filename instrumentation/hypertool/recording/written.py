"""A recorder's rows as JSON, from pieces that are kept from one snapshot to the next.

Every LLM call is published before it returns, so this is on its way: labels are encoded once, and only figures that
have changed are formatted. The text is the same as `snapshot_format.members` makes of the plain rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite

from ..domain.personas import Persona
from ..runtime.light_typing import Any
from ..store.snapshot_format import Key, Limit, encoded
from .cells import Counter, Exemplar, Histogram


class Unusual(Exception):
    """A figure that only the plain rows can tell, like NaN."""


class Written:
    """The pieces of one recorder. Not for two threads at once. Every method may raise Unusual."""

    def __init__(self) -> None:
        self._counters: tuple[list[Counter], str] = ([], "[]")
        self._histograms: dict[Key, _Row] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._latest: tuple[dict[Key, int], str] = ({}, "[]")
        self._limits: tuple[Any, str] = (None, "[]")

    def counters(self, counters: Mapping[Key, Counter]) -> str:
        """The rows of all counters."""
        cells, template = self._counters
        if len(cells) != len(counters):  # a recorder's counters are never removed
            names = list(counters)
            cells = [counters[key] for key in names]
            template = f"[{','.join(f'{_beginning(key)}%d]' for key in names)}]"
            self._counters = cells, template
        return template % _integers([cell.value for cell in cells])

    def histograms(self, histograms: Mapping[Key, Histogram]) -> str:
        """The rows of all histograms."""
        rows = self._histograms
        if len(rows) != len(histograms):
            for key in list(histograms):
                if key not in rows:
                    rows[key] = _Row(key, histograms[key])
        return f"[{','.join([row.text() for row in rows.values()])}]"

    def named(self, rows: Sequence[Sequence[Any]]) -> str:
        """Rows of a name and integers."""
        return f"[{','.join([self._named(*row) for row in rows])}]"

    def rows(self, rows: Sequence[Sequence[Any]]) -> str:
        """Rows that most snapshots have none of."""
        return encoded(rows)

    def latest(self, latest: dict[Key, int]) -> str:
        """The rows of values of which only the newest counts."""
        known, text = self._latest
        if known != latest:
            text = encoded([[*key, value] for key, value in latest.items()])
            self._latest = latest, text
        return text

    def limits(
        self,
        personas: dict[str, Persona],
        loaded_at: float,
        size: int,
        rows: Callable[[dict[str, Persona], float], list[Limit]],
    ) -> str:
        """The rows of limits, made anew if one of these has changed; `size` is the number of counters."""
        basis = [loaded_at, size, *personas.values()]
        known, text = self._limits
        if known != basis:
            text = encoded([list(row) for row in rows(personas, loaded_at)])
            self._limits = basis, text
        return text

    def _named(self, name: str, *figures: int) -> str:
        template = self._names.get((name, len(figures)))
        if template is None:
            template = f"{_beginning([name])}{','.join(['%d'] * len(figures))}]"
            self._names[name, len(figures)] = template
        return template % _integers(figures)


class _Row:
    """The row of one histogram: its text, and the figures that the text tells."""

    __slots__ = ("_cell", "_exemplars", "_figures", "_kept", "_template", "_text")

    def __init__(self, key: Key, cell: Histogram) -> None:
        self._cell = cell
        self._template = f"{_beginning(key)}[{','.join(['%d'] * len(cell.buckets))}],%d,{{"
        self._figures: tuple[int, ...] = ()
        self._exemplars: dict[int, Exemplar] = {}
        self._kept: dict[int, tuple[Exemplar, str]] = {}
        self._text = ""

    def text(self) -> str:
        """The row, formatted anew if the histogram has changed."""
        cell = self._cell
        figures, exemplars = (*cell.buckets, cell.sum), cell.exemplars
        if self._figures != figures or self._exemplars != exemplars:
            exemplars = exemplars.copy()
            told = ",".join([self._exemplar(*one) for one in exemplars.items()]) if exemplars else ""
            self._text = f"{self._template % _integers(figures)}{told}}}]"
            self._figures, self._exemplars = figures, exemplars
        return self._text

    def _exemplar(self, bucket: int, one: Exemplar) -> str:
        kept = self._kept.get(bucket)
        if kept is not None and kept[0] is one:
            return kept[1]
        trace_id, span_id, value, time = one
        text = f'"{bucket}":["{trace_id:032x}","{span_id:016x}",{figure(value)},{figure(time)}]'
        self._kept[bucket] = one, text
        return text


def _beginning(key: Sequence[str]) -> str:
    """A row up to its figures, in a template."""
    return encoded(key).replace("%", "%%")[:-1] + ","


def figure(value: float) -> str:
    """A number that JSON has. Raises Unusual."""
    try:
        finite = isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        finite = False
    if not finite:
        raise Unusual
    return repr(value)


def _integers(values: Sequence[int]) -> tuple[int, ...]:
    """The values if all of them are integers: `%d` would cut a fraction off."""
    try:
        whole = type(sum(values)) is int
    except (TypeError, OverflowError):  # the latter for a fraction beside an integer of more than 308 digits
        whole = False
    if not whole:
        raise Unusual
    return tuple(values)
