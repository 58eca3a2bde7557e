"""What a collector may be given: an impossible value is an error and counts nothing, an unfit label becomes `other`."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest

from hypertool import PersonaMetricsCollector
from hypertool.domain.labels import MAX_OTHERS
from tests.unit.metrics.collectors import BACKEND, counted, everything


class Index:
    """What numpy's integers are like."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"Index({self.value})"


@pytest.mark.parametrize("tokens", [850, 850.0, Index(850)], ids=repr)
def test_whole_numbers_of_any_kind_are_counted(collector: PersonaMetricsCollector, tokens: Any) -> None:
    collector.record_token_usage("backend", "default", "simulated", tokens)
    collector.record_token_usage("backend", "default", "simulated", tokens)
    assert counted(collector, "tok") == {(BACKEND, "default", "simulated"): 1700}


@pytest.mark.parametrize(
    ("tokens", "error"),
    [
        (-1, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (-math.inf, ValueError),
        (850.5, ValueError),
        (10**30, ValueError),
        (10**5000, ValueError),
        (1e300, ValueError),
        (Index(-1), ValueError),
        (True, TypeError),
        ("12", TypeError),
        (None, TypeError),
        ([1], TypeError),
        (1 + 2j, TypeError),
        (b"5", TypeError),
    ],
    ids=lambda value: f"{value!r:.12}" if not isinstance(value, int) or value < 10**40 else "5000 digits",
)
@pytest.mark.parametrize("warm", [False, True], ids=["first call", "cached"])
def test_impossible_token_count_is_an_error(
    collector: PersonaMetricsCollector, tokens: Any, error: type[Exception], warm: bool
) -> None:
    """An impossible token count is an error, and nothing is counted."""
    if warm:
        collector.record_token_usage("backend", "default", "simulated", 1)
    before = everything(collector)
    with pytest.raises(error, match=r"tokens = .*expected a whole number") as raised:
        collector.record_token_usage("backend", "default", "simulated", tokens)
    assert len(str(raised.value)) < 200
    assert everything(collector) == before


@pytest.mark.predecessor("D6")
@pytest.mark.parametrize("persona", ["backend-enginer", "", "BACKEND", "none", "unknown", "x" * 5000, "a\nb", "\ud800"])
def test_unknown_persona_names_the_known_ones(collector: PersonaMetricsCollector, persona: str) -> None:
    """An unknown persona is an error that lists the known ones."""
    calls: list[Callable[[], Any]] = [
        lambda: collector.record_token_usage(persona, "default", "simulated", 1),
        lambda: collector.switch_persona("none", persona, "default"),
        lambda: collector.record_workflow_stage("w", "s", persona, 1.0, True),
        lambda: collector.track_stage("w", "s", persona),
        lambda: collector.get_remaining_budget(persona),
        lambda: collector.reset_budget(persona),
        lambda: collector.require_budget(persona),
    ]
    if persona != "none":
        calls.append(lambda: collector.switch_persona(persona, "backend", "default"))
    before = everything(collector)
    for call in calls:
        with pytest.raises(ValueError, match="backend-engineer, data-scientist") as raised:
            call()
        assert len(str(raised.value)) < 600
    assert everything(collector) == before
    if persona == "backend-enginer":
        assert "did you mean 'backend-engineer'" in str(raised.value)


@pytest.mark.parametrize("value", [None, 5, b"x", ["x"], {}])
def test_what_is_no_string_is_no_label(collector: PersonaMetricsCollector, value: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: collector.record_token_usage(value, "default", "simulated", 1),
        lambda: collector.record_token_usage("backend", value, "simulated", 1),
        lambda: collector.record_token_usage("backend", "default", value, 1),
        lambda: collector.switch_persona("none", "backend", value),
        lambda: collector.record_workflow_stage(value, "s", "backend", 1.0, True),
        lambda: collector.record_workflow_stage("w", value, "backend", 1.0, True),
        lambda: collector.track_stage("w", value, "backend"),
        lambda: collector.get_remaining_budget(value),
    ]
    before = everything(collector)
    for call in calls:
        with pytest.raises(TypeError, match="string"):
            call()
    assert everything(collector) == before


@pytest.mark.parametrize(
    "seconds", [-1, math.nan, math.inf, 1e300, 10**400, True, "1", None, [1]], ids=lambda value: f"{value!r:.10}"
)
def test_impossible_duration_is_an_error(collector: PersonaMetricsCollector, seconds: Any) -> None:
    """An impossible duration is an error, and nothing is counted."""
    before = everything(collector)
    with pytest.raises((ValueError, TypeError), match="number of seconds"):
        collector.record_workflow_stage("w", "s", "backend", seconds, True)
    assert everything(collector) == before


class Mode(str, Enum):
    BUG_FIX = "bug-fix"


def test_text_enum_counts_as_its_text(collector: PersonaMetricsCollector) -> None:
    """A member of a text enumeration counts as its text."""
    collector.record_token_usage("backend", Mode.BUG_FIX, "simulated", 1)
    assert counted(collector, "tok") == {(BACKEND, "bug-fix", "simulated"): 1}


@pytest.mark.parametrize("value", ['quo"te', "back\\slash", "ünïcode 模型", "x" * 100, "tab is not, this is"])
def test_unusual_text_is_kept(collector: PersonaMetricsCollector, value: str) -> None:
    collector.record_token_usage("backend", "default", value, 1)
    assert counted(collector, "tok") == {(BACKEND, "default", value): 1}


@pytest.mark.parametrize(
    "value", ["", "a\nb", "a\tb", "\x00", "x" * 101, "x" * 4096, "\ud800", "\x85", "\u2028", "\u202e"]
)
def test_unfit_text_becomes_other(collector: PersonaMetricsCollector, value: str) -> None:
    """Text that cannot be a label value becomes `other` and counts as overflow."""
    collector.record_token_usage("backend", "default", value, 1)
    collector.record_token_usage("backend", "default", value, 1)
    assert counted(collector, "tok") == {(BACKEND, "default", "other"): 2}
    assert counted(collector, "of") == {("model",): 2}


def test_many_values_leave_64_and_other(collector: PersonaMetricsCollector, caplog: pytest.LogCaptureFixture) -> None:
    """Of 100,000 label values, 64 stay and the rest is `other`, with one log line."""
    for number in range(100_000):
        collector.record_token_usage("backend", "default", f"model-{number}" + "x" * (number % 300), 1)
    found = counted(collector, "tok")
    assert len(found) == MAX_OTHERS + 1
    assert sum(found.values()) == 100_000
    assert counted(collector, "of") == {("model",): 100_000 - MAX_OTHERS}
    recorder = collector.recorder
    assert len(recorder.counters) < 80
    assert len(recorder.token_cells) <= MAX_OTHERS
    assert len(caplog.records) == 2, "one line for each reason"
    assert not [r for r in caplog.records if len(r.getMessage()) > 400]
