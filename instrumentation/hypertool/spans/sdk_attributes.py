"""Gives spans of OpenTelemetry's SDK attributes that fit already, without a second check of each value.

The SDK's `set_attributes` takes 0.7 us a value, a sixth of what an observed call costs in an application with a tracer
provider. What it does with values that fit is to copy them; the first span of a class is asked whether that is so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRIAL: Mapping[str, Any] = {"text": "a", "count": 1, "share": 0.5, "flag": True, "texts": ("a", "b")}
# Whether the attributes of spans of a class are kept as they are given.
_plain: dict[type, bool] = {}


def set_fitted(span: Any, attributes: Mapping[str, Any]) -> None:
    """`span.set_attributes`, for strings, numbers and tuples of strings that are bounded and redacted."""
    kind = type(span)
    known = _plain.get(kind)
    if known is None:
        known = _plain[kind] = _keeps_them(span)
    if known:
        kept = span._attributes
        values = kept._dict
        if (
            kept.max_value_len is None
            and (kept.maxlen is None or len(values) + len(attributes) <= kept.maxlen)
            and values.keys().isdisjoint(attributes)
        ):
            with span._lock, kept._lock:
                if span._end_time is None:
                    values.update(attributes)
                    return
    span.set_attributes(attributes)


def _keeps_them(span: Any) -> bool:
    """Whether `span` is the SDK's own, and its attributes are a dict of the values that it was given."""
    try:
        from opentelemetry.attributes import BoundedAttributes
        from opentelemetry.sdk.trace import Span

        tried = BoundedAttributes(immutable=False)
        for key, value in _TRIAL.items():
            tried[key] = value
        kept = type(tried._dict) is dict and list(tried._dict.items()) == list(_TRIAL.items())
        own = type(span).set_attributes is Span.set_attributes and type(span._attributes) is BoundedAttributes
        with span._lock, tried._lock:
            return own and kept and span._end_time is None
    except (ImportError, AttributeError, TypeError):  # another version of the SDK, or a span of another kind
        return False
