"""What can be said about a PromQL expression without running it: its selectors, its ranges, the labels it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser as pp

COMPARISONS = frozenset({">", "<", ">=", "<=", "==", "!="})


def nodes(expr: Any) -> Iterator[Any]:
    """The expression and everything inside it."""
    yield expr
    inside: list[Any] = [getattr(expr, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    inside += list(getattr(expr, "args", None) or [])
    for child in inside:
        if child is not None and not isinstance(child, (str, float, int)):
            yield from nodes(child)


def selectors(expr: Any) -> list[pp.VectorSelector]:
    """Every metric that is looked at."""
    return [node for node in nodes(expr) if isinstance(node, pp.VectorSelector)]


def matched_labels(selector: pp.VectorSelector) -> set[str]:
    """The labels that a selector asks for."""
    return {matcher.name for matcher in selector.matchers.matchers}


def grouping_labels(expr: Any) -> set[str]:
    """Every label that an aggregation or a matching names."""
    found: set[str] = set()
    for node in nodes(expr):
        modifier = getattr(node, "modifier", None)
        if isinstance(node, pp.AggregateExpr) and modifier is not None:
            found |= set(modifier.labels)
        elif isinstance(node, pp.BinaryExpr) and modifier is not None and modifier.matching is not None:
            found |= set(modifier.matching.labels)
    return found


def ranges(expr: Any) -> list[float]:
    """The seconds of every range."""
    return [node.range.total_seconds() for node in nodes(expr) if isinstance(node, pp.MatrixSelector)]


def arms(expr: Any) -> list[Any]:
    """The alternatives of an expression: what stands between its outermost `or`s."""
    if isinstance(expr, pp.ParenExpr):
        return arms(expr.expr)
    if isinstance(expr, pp.BinaryExpr) and str(expr.op) == "or":
        return arms(expr.lhs) + arms(expr.rhs)
    return [expr]


def compares(expr: Any) -> bool:
    """Whether something is compared or taken away; an alert that does neither fires for every series."""
    operators = {str(node.op) for node in nodes(expr) if isinstance(node, pp.BinaryExpr)}
    return bool(operators & (COMPARISONS | {"unless"}))


def kept_labels(expr: Any, known: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """The labels that every row of the result has for sure; None for a scalar."""
    if isinstance(expr, pp.ParenExpr | pp.UnaryExpr):
        return kept_labels(expr.expr, known)
    if isinstance(expr, pp.NumberLiteral | pp.StringLiteral):
        return None
    if isinstance(expr, pp.VectorSelector):
        return known[str(expr.name)]
    if isinstance(expr, pp.MatrixSelector):
        return known[str(expr.vector_selector.name)]
    if isinstance(expr, pp.AggregateExpr):
        inner = kept_labels(expr.expr, known) or frozenset()
        if expr.modifier is None:
            return frozenset()
        by = expr.modifier.type == pp.AggModifierType.By
        return inner & frozenset(expr.modifier.labels) if by else inner - frozenset(expr.modifier.labels)
    if isinstance(expr, pp.Call):
        return _of_call(expr, known)
    if isinstance(expr, pp.BinaryExpr):
        return _of_binary(expr, known)
    raise TypeError(f"no rule for {type(expr).__name__}: add one")


def _of_call(expr: pp.Call, known: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    name = expr.func.name
    if name == "time":
        return None
    if name == "vector":
        return frozenset()
    if name in ("absent", "absent_over_time"):
        matchers = selectors(expr)[0].matchers.matchers
        return frozenset(matcher.name for matcher in matchers if matcher.op == pp.MatchOp.Equal)
    if name == "label_replace":
        return (kept_labels(expr.args[0], known) or frozenset()) | {expr.args[1].val}
    for argument in expr.args:
        labels = kept_labels(argument, known)
        if labels is not None:
            return labels
    return frozenset()


def _of_binary(expr: pp.BinaryExpr, known: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    left, right = kept_labels(expr.lhs, known), kept_labels(expr.rhs, known)
    if left is None or right is None:
        return right if left is None else left
    operator = str(expr.op)
    if operator == "or":
        return left & right
    if operator in ("and", "unless") or expr.modifier is None or expr.modifier.matching is None:
        return left
    if str(expr.modifier.card) != str(pp.VectorMatchCardinality.OneToOne):
        return left
    named = frozenset(expr.modifier.matching.labels)
    on = str(expr.modifier.matching).startswith("on")
    # A filtering comparison keeps the left side's labels only as far as they were matched on.
    return left & named if on else left - named
