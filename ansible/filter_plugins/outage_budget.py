"""One duration, the longest outage that must cost nothing, becomes every setting of the collector that depends on it.

    {{ '8h' | outage_settings }}

gives `environment` (what the files in alloy/ read, all strings), what it costs, and `summary`, the same in words.
The reasons for each value are in alloy/README.md.
"""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleFilterError

_MIB = 1024 * 1024
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")

#: Less is not an outage but a retry, more is not kept by any destination: samples would be refused as too old.
SHORTEST, LONGEST = 10, 7 * 86400
#: Bytes of write-ahead log for one sample, its share of series records included (measured with values that do not
#: compress).
WAL_BYTES_PER_SAMPLE = 11
#: The log is cut in whole segments of this size.
WAL_SEGMENT = 128 * _MIB
#: A span with the GenAI attributes, encoded; and what a byte in the queue takes in memory (measured).
SPAN_BYTES, MEMORY_PER_QUEUED_BYTE = 1024, 5
#: The queue must hold the largest single request (20 MiB over HTTP), and must leave room for everything else.
SMALLEST_QUEUE, LARGEST_QUEUE = 32 * _MIB, 256 * _MIB
#: One journal entry on disk, with its fields and indexes.
JOURNAL_BYTES_PER_LINE = 1024
#: The collector without any backlog; and the share of the limit above which senders are told to wait.
BASE_MEMORY, MEMORY_SHARE = 128 * _MIB, 0.65


def seconds(duration: Any, variable: str = "observability_outage_budget") -> float:
    """A duration like 8h, 1h30m or 300s in seconds. AnsibleFilterError, with the variable's name, for anything else."""
    text = str(duration).strip()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise AnsibleFilterError(f"{variable} is {duration!r}; expected a duration such as 8h, 1h30m or 300s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def outage_settings(
    duration: Any,
    series: float = 1500,
    scrape_seconds: float = 15,
    spans_per_second: float = 1,
    lines_per_second: float = 5,
) -> dict[str, Any]:
    """Settings and costs of an outage budget, for a host with that many series, spans and log lines.

    `environment`: variables for the collector. `wal_disk_bytes`, `journal_disk_bytes`: disk used at the end of such an
    outage. `traces_memory_bytes`: memory of a full trace queue. `traces_seconds`: how long that queue lasts at the
    given rate, less than the budget where memory ends first. `memory_bytes`: the smallest sensible memory limit of the
    unit. `certain_samples_per_second`: up to this rate the log of the whole budget fits one segment, and no cut of it
    can ever touch what is not yet sent. `warnings`: what does not fit. AnsibleFilterError for values that cannot be.
    """
    budget = seconds(duration)
    if not SHORTEST <= budget <= LONGEST:
        raise AnsibleFilterError(
            f"observability_outage_budget is {duration!r} ({budget:g} s); expected {SHORTEST} s to {LONGEST // 86400} d"
        )
    for name, value in (
        ("series", series),
        ("scrape_seconds", scrape_seconds),
        ("spans_per_second", spans_per_second),
        ("lines_per_second", lines_per_second),
    ):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise AnsibleFilterError(f"outage_settings: {name} is {value!r}; expected a number above 0")

    truncate = min(7200.0, budget / 4)
    keep_at_least = min(300.0, budget / 4)
    # Samples younger than this stay whatever happens; a quarter more than asked covers the way back to normal.
    keep_at_most = budget * 1.25 + keep_at_least
    wanted = int(budget * spans_per_second * SPAN_BYTES)
    queue = min(max(wanted, SMALLEST_QUEUE), LARGEST_QUEUE)
    rate = series / scrape_seconds
    costs = {
        "wal_disk_bytes": int(rate * WAL_BYTES_PER_SAMPLE * (keep_at_most + 3 * truncate)),
        "journal_disk_bytes": int(budget * lines_per_second * JOURNAL_BYTES_PER_LINE),
        "traces_memory_bytes": queue * MEMORY_PER_QUEUED_BYTE,
        "traces_seconds": int(queue / (spans_per_second * SPAN_BYTES)),
        "memory_bytes": int((BASE_MEMORY + queue * MEMORY_PER_QUEUED_BYTE) / MEMORY_SHARE),
        "certain_samples_per_second": int(WAL_SEGMENT / (budget * WAL_BYTES_PER_SAMPLE)),
    }
    return {
        "seconds": budget,
        "environment": {
            "HYPERTOOL_ALLOY_WAL_TRUNCATE_FREQUENCY": _go(truncate),
            "HYPERTOOL_ALLOY_WAL_MIN_KEEPALIVE": _go(keep_at_least),
            "HYPERTOOL_ALLOY_WAL_MAX_KEEPALIVE": _go(keep_at_most),
            "HYPERTOOL_ALLOY_JOURNAL_MAX_AGE": _go(keep_at_most),
            "HYPERTOOL_ALLOY_TRACES_QUEUE": str(queue),
        },
        **costs,
        "warnings": _warnings(duration, budget, rate, costs, wanted > queue),
        "summary": (
            f"An outage of {duration} costs at most {_mib(costs['wal_disk_bytes'])} of disk for metrics "
            f"({series:g} series every {scrape_seconds:g} s), {_mib(costs['journal_disk_bytes'])} of journal for logs "
            f"({lines_per_second:g} lines/s) and {_mib(costs['traces_memory_bytes'])} of memory for traces "
            f"({spans_per_second:g} spans/s last {costs['traces_seconds'] / 3600:.1f} h)."
        ),
    }


def _warnings(duration: Any, budget: float, rate: float, costs: dict[str, int], queue_is_short: bool) -> list[str]:
    found = []
    if queue_is_short:
        found.append(
            f"the largest trace queue lasts {costs['traces_seconds'] / 3600:.1f} h at this rate, not "
            f"{duration}: after that senders have to wait and may drop spans themselves"
        )
    if rate > costs["certain_samples_per_second"]:
        found.append(
            f"{rate:.0f} samples/s for {duration} do not fit one segment of the write-ahead log "
            f"({costs['certain_samples_per_second']} samples/s do): a cut of the log while the backlog is "
            "being sent can take unsent samples with it"
        )
    if budget > 86400:
        found.append("the destination may refuse samples older than a day: ask its limits before relying on more")
    return found


def _go(value: float) -> str:
    return f"{value:g}s" if value < 60 else f"{round(value)}s"


def _mib(value: int) -> str:
    return f"{value / _MIB:.0f} MiB"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {"outage_settings": outage_settings, "duration_seconds": seconds}
