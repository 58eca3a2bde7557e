"""Values for spans: attributes as OpenTelemetry accepts them, and exceptions, all of them redacted."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from ..runtime.redaction import MESSAGE_LIMIT, REDACTED, STACK_LIMIT, names_a_secret, redact, redact_name, redact_tail

_ATTRIBUTE_LIMIT = 4_000


def fit_all(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Redacted attribute values that OpenTelemetry accepts: primitives, sequences of one type, else text."""
    return {
        redact_name(key): REDACTED if names_a_secret(key) and isinstance(value, str) else _fit(value)
        for key, value in attributes.items()
        if value is not None
    }


def _fit(value: Any) -> str | bool | int | float | Sequence[str]:
    if isinstance(value, str):
        return redact(value, _ATTRIBUTE_LIMIT)
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        # OTLP integers have 64 bits; a larger one would fail the whole batch. Python refuses to print a huge one.
        return value if -(2**63) <= value < 2**63 else _fit(str(value) if value.bit_length() < 4_096 else hex(value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(str(item), 200) for item in list(value)[:100]]
    return redact(str(value), _ATTRIBUTE_LIMIT)


def error_type(error: BaseException) -> str:
    """The class of an exception, for `error.type`."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def error_attributes(error: BaseException) -> dict[str, Any]:
    """Attributes of an `exception` event: the type, and the redacted and limited message and stack."""
    return {
        "exception.type": error_type(error),
        "exception.message": redact(_text_of(error), MESSAGE_LIMIT),
        "exception.stacktrace": _stack_of(error),
    }


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # The application's __str__ failed.
        return f"<no text: {type(broken).__name__}>"


def _stack_of(error: BaseException) -> str:
    """The innermost frames; the end of a stack says where it failed."""
    try:
        frames = "".join(traceback.format_tb(error.__traceback__, limit=-30))
    except Exception as broken:
        return f"<no stack: {type(broken).__name__}>"
    return redact_tail(frames, STACK_LIMIT)
