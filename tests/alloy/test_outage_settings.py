"""One duration sizes every buffer; its cost is reported, and an impossible one is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from tests.support.loaded import loaded

ROOT = Path(__file__).resolve().parents[2]
MODULE = loaded(ROOT / "ansible/filter_plugins/outage_budget.py")
outage_settings = MODULE.FilterModule().filters()["outage_settings"]

MIB = 1024 * 1024


def go_seconds(text: str) -> float:
    """What Go's time.ParseDuration makes of the durations that are written."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", text)
    assert match, f"{text!r} is not a plain number of seconds"
    return float(match[1])


@pytest.mark.parametrize("budget", ["30s", "300s", "1h", "8h", "3d"])
def test_every_buffer_outlasts_the_budget(budget: str) -> None:
    settings = outage_settings(budget)
    environment = settings["environment"]
    keep = go_seconds(environment["HYPERTOOL_ALLOY_WAL_MAX_KEEPALIVE"])
    # The collector counts the age from the last sample that was sent, less the time it keeps in any case.
    assert keep - go_seconds(environment["HYPERTOOL_ALLOY_WAL_MIN_KEEPALIVE"]) >= settings["seconds"]
    assert go_seconds(environment["HYPERTOOL_ALLOY_JOURNAL_MAX_AGE"]) >= settings["seconds"]
    assert settings["traces_seconds"] >= settings["seconds"]
    assert int(environment["HYPERTOOL_ALLOY_TRACES_QUEUE"]) > 20 * MIB, "the largest request must fit"


@pytest.mark.parametrize("budget", ["30s", "300s", "1h", "8h", "3d"])
def test_log_is_checked_several_times_per_budget(budget: str) -> None:
    """The log is truncated several times per budget, and at least every two hours."""
    settings = outage_settings(budget)
    truncate = go_seconds(settings["environment"]["HYPERTOOL_ALLOY_WAL_TRUNCATE_FREQUENCY"])
    assert 0 < truncate <= min(7200, settings["seconds"] / 4)


def test_values_are_strings_that_need_no_quotes() -> None:
    """Every value is a string, without characters that a file of variables would have to quote."""
    for name, value in outage_settings("8h")["environment"].items():
        assert isinstance(value, str)
        assert re.fullmatch(r"HYPERTOOL_ALLOY_[A-Z_]+=[0-9.]+s?", f"{name}={value}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8h", 28800), ("1h30m", 5400), ("300s", 300), ("2d", 172800), ("1.5h", 5400), ("20s500ms", 20.5)],
)
def test_durations_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert outage_settings(text)["seconds"] == expected


@pytest.mark.parametrize("text", ["", "8", 8, "eight hours", "-8h", "8h x", "h", None, "1h,30m"])
def test_no_duration_is_refused_with_an_example(text: Any) -> None:
    """Anything but a duration is refused; the message has the value and an example."""
    with pytest.raises(AnsibleFilterError, match="8h, 1h30m or 300s") as refusal:
        outage_settings(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", ["1s", "0s", "8d"])
def test_budget_out_of_range_is_refused_with_the_range(text: str) -> None:
    """A budget outside the allowed range is refused; the message has the range."""
    with pytest.raises(AnsibleFilterError, match="expected 10 s to 7 d"):
        outage_settings(text)


@pytest.mark.parametrize("name", ["series", "scrape_seconds", "spans_per_second", "lines_per_second"])
@pytest.mark.parametrize("value", [0, -1, "many", True, float("nan")])
def test_a_load_that_cannot_be_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=name):
        outage_settings("8h", **{name: value})


def test_costs_grow_with_the_load_that_causes_them() -> None:
    small, large = outage_settings("8h"), outage_settings("8h", series=15000, spans_per_second=8, lines_per_second=50)
    assert large["wal_disk_bytes"] == pytest.approx(10 * small["wal_disk_bytes"], rel=0.01)
    assert large["journal_disk_bytes"] == 10 * small["journal_disk_bytes"]
    assert large["traces_memory_bytes"] > 6 * small["traces_memory_bytes"]
    assert large["memory_bytes"] > large["traces_memory_bytes"]


def test_memory_for_traces_has_a_stated_ceiling() -> None:
    """Memory for traces has a ceiling, and the settings say how much of the budget it does not hold."""
    settings = outage_settings("8h", spans_per_second=1000)
    assert int(settings["environment"]["HYPERTOOL_ALLOY_TRACES_QUEUE"]) == 256 * MIB
    assert settings["traces_seconds"] < settings["seconds"]
    assert any("trace queue lasts 0.1 h" in warning for warning in settings["warnings"])


def test_more_samples_than_one_segment_holds_is_said() -> None:
    assert outage_settings("8h")["warnings"] == []
    (warning,) = outage_settings("8h", series=30000)["warnings"]
    assert "2000 samples/s for 8h" in warning


def test_the_summary_names_disk_and_memory() -> None:
    summary = outage_settings("8h")["summary"]
    assert re.search(r"outage of 8h .* \d+ MiB of disk for metrics", summary)
    assert re.search(r"\d+ MiB of journal", summary)
    assert re.search(r"\d+ MiB of memory for traces", summary)
