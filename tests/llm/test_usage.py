"""A usage is exact, immutable and whole; what is not known is not zero; an estimate says that it is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from hypertool import ObservableLLM, PersonaMetricsCollector
from hypertool.llm import Missing, StreamReader, Usage, estimate_usage, extract, read_usage
from tests.llm.encodings import PATIENT

COUNTS = st.integers(min_value=0, max_value=10**9)
USAGES = st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS).map(lambda parts: Usage(*parts))


@PATIENT
@given(USAGES)
def test_every_token_is_in_exactly_one_part(usage: Usage) -> None:
    parts = usage.input, usage.cached_input, usage.cache_write, usage.output, usage.reasoning
    assert usage.total == sum(parts) == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens == sum(parts[:3])
    assert usage.output_tokens == sum(parts[3:])


@PATIENT
@given(USAGES)
def test_langfuse_gets_disjoint_parts_without_zeros(usage: Usage) -> None:
    details = usage.usage_details()
    assert sum(details.values()) == usage.total
    assert 0 not in details.values()
    expected = usage if usage.total else Missing("no_usage")
    assert read_usage(details or {"input": 0}) == expected


@PATIENT
@given(USAGES)
def test_langfuses_own_mapping_has_the_same_total(usage: Usage) -> None:
    """A Langfuse server that maps gen_ai keys itself comes to the same total."""
    keys = {name.removeprefix("gen_ai.usage."): value for name, value in usage.gen_ai().items()}
    assert keys["input_tokens"] + keys["output_tokens"] == usage.total
    # Its rule for raw OTLP: input = input_tokens - cache_read - cache_creation, at least 0.
    fresh = keys["input_tokens"] - keys.get("cache_read.input_tokens", 0) - keys.get("cache_creation.input_tokens", 0)
    assert fresh == usage.input
    assert keys.get("reasoning.output_tokens", 0) == usage.reasoning


@PATIENT
@given(st.lists(USAGES, max_size=5))
def test_sums_are_by_part(usages: list[Usage]) -> None:
    whole = sum(usages, Usage())
    assert whole.total == sum(usage.total for usage in usages)
    assert whole.cached_input == sum(usage.cached_input for usage in usages)
    assert sum(usages) == (whole if usages else 0)


def test_usage_is_immutable_and_no_tuple() -> None:
    """A usage cannot be changed, and does not equal a tuple."""
    usage = Usage(1, 2, 3, 4, 5)
    with pytest.raises(AttributeError):
        usage.input = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        usage * 2
    with pytest.raises(TypeError):
        usage + object()


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (10**13, ValueError),
        (1.0, TypeError),
        (True, TypeError),
        ("1", TypeError),
        (None, TypeError),
        (float("nan"), TypeError),
    ],
)
def test_a_count_that_is_none_is_refused(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="output"):
        Usage(output=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="part of cache_write"):
        Usage(cache_write=1, cache_write_1h=2)


def test_an_estimate_is_marked_and_spreads_its_mark() -> None:
    assert estimate_usage("abcd" * 10, "abcd") == Usage(input=10, output=1, estimated=True)
    assert (Usage(1) + estimate_usage("abcd")).estimated
    assert not Usage(1).estimated


@pytest.mark.predecessor("D11")
def test_estimate_reads_lists_and_other_scripts() -> None:
    """An estimate reads message lists, and counts other scripts by character."""
    parts = [{"type": "text", "text": "abcdefgh"}, {"type": "image", "data": "x" * 999}]
    messages = [{"role": "user", "content": parts}]
    assert estimate_usage(messages).input == 2
    assert estimate_usage("請求書" * 100).input == 300
    assert estimate_usage(None).total == 0


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, Usage(5, output=2)),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 9}, Usage(5, 9, output=2)),
        ({"input_tokens": 14, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 9}}, Usage(5, 9, output=2)),
        ({"input_tokens": 14, "output_tokens": 2, "input_token_details": {"cache_read": 9}}, Usage(5, 9, output=2)),
        ({"inputTokens": 5, "outputTokens": 2}, Usage(5, output=2)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 2}, Usage(5, output=2)),
        ({"input": 5, "output": 2, "total": 7, "unit": "TOKENS"}, Usage(5, output=2)),
        (Usage(5, output=2), Usage(5, output=2)),
        ({"input": "hello", "output": "world"}, Missing("invalid")),
        ({"tokens": 5}, Missing("unrecognised")),
        (None, Missing("no_usage")),
        ({}, Missing("no_usage")),
    ],
)
def test_a_bare_record_is_told_by_its_names(record: object, expected: Usage | Missing) -> None:
    assert read_usage(record) == expected


def test_estimate_in_a_response_is_read() -> None:
    """Who makes a response may put an estimate into it, whole or streamed."""
    guess = estimate_usage("abcd" * 10, "abcd")
    reading = extract({"model": "m", "text": "abcd", "usage": guess})
    assert (reading.usage, reading.model) == (guess, "m")
    assert isinstance(reading.usage, Usage)
    assert reading.usage.estimated
    reader = StreamReader()
    for chunk in ({"text": "ab"}, {"text": "cd"}, {"usage": guess}):
        reader.feed(chunk)
    assert reader.finish(True).usage == guess


def test_estimate_is_marked_and_never_unasked() -> None:
    """An estimate is counted as one, and none is made unasked."""
    registry = CollectorRegistry()
    metrics = PersonaMetricsCollector(registry)
    for usage in ({"usage": estimate_usage("abcd" * 10, "abcd")}, {}):
        ObservableLLM(lambda text, usage=usage: {"text": "abcd", **usage}, "m", metrics=metrics)("x", persona="backend")
    labels = {"persona": "backend-engineer", "model": "m"}
    assert registry.get_sample_value("hypertool_persona_tokens_used_total", {**labels, "chatmode": "default"}) == 11
    assert registry.get_sample_value("hypertool_llm_usage_missing_total", {**labels, "reason": "unrecognised"}) == 1
