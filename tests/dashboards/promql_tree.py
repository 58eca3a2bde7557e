"""Walks a parsed PromQL expression: every selector with what it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import promql_parser


@dataclass(frozen=True)
class Selector:
    """One use of a metric."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    function: str = ""
    window: timedelta | None = None

    def patterns(self) -> dict[str, str]:
        return {name: value for name, _, value in self.matchers}


def selectors(expression: str) -> list[Selector]:
    """Every selector of an interpolated expression; a syntax error raises ValueError."""
    return list(_walk(promql_parser.parse(expression), Selector("", ())))


def _walk(node: Any, around: Selector) -> Iterator[Selector]:
    kind = type(node).__name__
    if kind == "VectorSelector":
        matchers = tuple((m.name, str(m.op), m.value) for m in node.matchers.matchers)
        yield replace(around, metric=node.name or "", matchers=matchers)
        return
    if kind == "MatrixSelector":
        yield from _walk(node.vector_selector, replace(around, window=node.range))
        return
    if kind == "SubqueryExpr":
        around = replace(around, window=node.range)
    if kind == "Call":
        around = replace(around, function=node.func.name)
        for argument in node.args:
            yield from _walk(argument, around)
        return
    for child in ("expr", "lhs", "rhs", "param"):
        if getattr(node, child, None) is not None:
            yield from _walk(getattr(node, child), around)
