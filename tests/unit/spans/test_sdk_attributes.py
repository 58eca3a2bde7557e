"""Attributes that fit, given to the SDK's spans by the short way: the same as the SDK's own way gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import Span, SpanLimits, TracerProvider

from hypertool.spans import sdk_attributes
from hypertool.spans.sdk_attributes import set_fitted

TEXTS = st.text(max_size=30)
VALUES = st.one_of(TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.lists(TEXTS).map(tuple))
ATTRIBUTES = st.dictionaries(st.sampled_from("abcdefgh"), VALUES, max_size=8)
LIMITS = st.builds(
    SpanLimits,
    max_span_attributes=st.sampled_from([None, 0, 1, 3, 128]),
    max_span_attribute_length=st.sampled_from([None, 5]),
)


def begun(limits: SpanLimits | None, start: Mapping[str, Any]) -> Any:
    """A span of an application's provider."""
    return TracerProvider(span_limits=limits).get_tracer("test").start_span("chat", attributes=start)


def told(span: Any) -> tuple[str, int]:
    """The attributes in their order, NaN like itself, and how many were lost."""
    return repr(list(span.attributes.items())), span.dropped_attributes


@settings(max_examples=200, deadline=None)
@given(LIMITS, ATTRIBUTES, ATTRIBUTES)
def test_attributes_are_those_the_sdk_would_set(
    limits: SpanLimits, start: dict[str, Any], last: dict[str, Any]
) -> None:
    """With every limit, and for attributes that are there already."""
    ours, theirs = begun(limits, start), begun(limits, start)
    set_fitted(ours, last)
    theirs.set_attributes(last)
    assert told(ours) == told(theirs)
    ours.end()
    set_fitted(ours, {"late": 1})
    assert told(ours) == told(theirs)


def test_the_short_way_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the SDK that this package is tested with."""
    monkeypatch.setattr(sdk_attributes, "_plain", {})
    span = begun(None, {"a": 1})
    set_fitted(span, {"b": 2})
    monkeypatch.setattr(Span, "set_attributes", lambda *_: pytest.fail("set the slow way"))
    set_fitted(span, {"c": 3})
    assert dict(span.attributes) == {"a": 1, "b": 2, "c": 3}


class Wrapped(trace.NonRecordingSpan):
    """A span of another implementation."""

    def __init__(self) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self.given: dict[str, Any] = {}

    def set_attributes(self, attributes: Any) -> None:
        self.given.update(attributes)


def test_another_implementation_is_asked() -> None:
    """A span that is not the SDK's own sets its attributes itself."""
    span = Wrapped()
    set_fitted(span, {"a": 1})
    assert span.given == {"a": 1}


def test_an_unknown_sdk_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK that keeps attributes in another form sets them itself."""
    from opentelemetry.attributes import BoundedAttributes

    def stored_otherwise(self: Any, key: str, value: Any) -> None:
        self._dict[key] = [value]

    monkeypatch.setattr(BoundedAttributes, "__setitem__", stored_otherwise)
    monkeypatch.setattr(sdk_attributes, "_plain", {})
    asked: list[Any] = []
    span = begun(None, {"a": 1})
    assert not sdk_attributes._keeps_them(span)
    monkeypatch.setattr(type(span), "set_attributes", lambda self, given: asked.append(given))
    set_fitted(span, {"b": 2})
    assert asked == [{"b": 2}]
