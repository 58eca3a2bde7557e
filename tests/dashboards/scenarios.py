"""The hosts that the panels are tried on: each instance is one story, all in one Prometheus."""

from __future__ import annotations

from random import Random

from tests.dashboards.backfill import (
    Event,
    Host,
    State,
    add,
    baseline,
    fresh,
    gate_only,
    key,
    llm_call,
    purge,
    stage_run,
)

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SWITCHES = "hypertool_persona_switches_total"


def many(event: Event, *before: float) -> list[tuple[float, Event]]:
    return [(moment, event) for moment in before]


def failing() -> Host:
    """Failures, a stage that two personas share, and two undeclared workflows: one only fails, one only passes."""
    events = [
        *many(baseline, 50 * MINUTE, 40 * MINUTE, 30 * MINUTE),
        *many(stage_run("package_release", "version_bump", "backend-engineer", 45, "fail"), 20 * MINUTE, 10 * MINUTE),
        *many(stage_run("bug_fix", "testing_validation", "testing-specialist", 400), 45 * MINUTE, 35 * MINUTE),
        *many(stage_run("bug_fix", "testing_validation", "data-scientist", 20, "fail"), 25 * MINUTE),
        *many(stage_run("docs", "report", "devops-engineer", 3), 14 * MINUTE),
        *many(gate_only("nightly", "cleanup", "fail"), *(minutes * MINUTE for minutes in (12, 11, 9, 8, 7, 6))),
    ]
    return Host("failing", 15, 2 * HOUR, events)


#: A run on a host that is minutes old, at each of the scrape intervals in use.
NEW_HOSTS = (
    Host("new-5s", 5, 12 * MINUTE, many(baseline, 4 * MINUTE + 2)),
    Host("new-15s", 15, 20 * MINUTE, many(baseline, 5 * MINUTE + 7)),
    Host("new-60s", 60, 30 * MINUTE, many(baseline, 6 * MINUTE + 31)),
    # The run was over before the first scrape ever.
    Host("late-15s", 15, 5 * MINUTE, many(baseline, 6 * MINUTE)),
    # Nine hours of idling first.
    Host("idle-first", 60, 9 * HOUR, many(baseline, 6 * MINUTE)),
)
IDLE = Host("idle", 60, 2 * HOUR)
FAILING = failing()
#: Old runs, then hours without a scrape (the laptop was shut), then one run.
AFTER_LONG_GAP = Host(
    "after-long-gap",
    60,
    9 * HOUR,
    [*many(baseline, *(8 * HOUR + n * MINUTE for n in range(10))), *many(baseline, 10 * MINUTE)],
    down=[(7 * HOUR, 12 * MINUTE)],
)
#: The first run ever, after hours without a scrape.
BORN_AFTER_GAP = Host("born-after-gap", 60, 9 * HOUR, many(baseline, 10 * MINUTE), down=[(7 * HOUR, 20 * MINUTE)])
#: The only run took place in twenty minutes without a scrape.
RUN_IN_GAP = Host("run-in-gap", 15, 3 * HOUR, many(baseline, 20 * MINUTE), down=[(30 * MINUTE, 10 * MINUTE)])
#: Five runs, a purge of the store, one run.
PURGED = Host(
    "purged",
    15,
    2.5 * HOUR,
    [*many(baseline, *(2 * HOUR + n * MINUTE for n in range(5))), (30 * MINUTE, purge), (10 * MINUTE, baseline)],
)
#: One old run, three in the last hour, a purge, two more: more than there were at the start of the hour.
PURGED_AND_BUSY = Host(
    "purged-and-busy",
    15,
    2.5 * HOUR,
    [
        *many(baseline, 2 * HOUR, 50 * MINUTE, 45 * MINUTE, 40 * MINUTE),
        (30 * MINUTE, purge),
        *many(baseline, 20 * MINUTE, 10 * MINUTE),
    ],
)
#: Ten runs, then between two scrapes a purge and one more run.
PURGED_AT_ONCE = Host(
    "purged-at-once",
    15,
    40 * MINUTE,
    [*many(baseline, *(30 * MINUTE + n for n in range(10))), (5 * MINUTE + 7, purge), (5 * MINUTE + 6, baseline)],
)
#: A host that has been there for eight days: 20 runs, one of them in the last hour. A sparse scrape keeps it small.
WEEK = Host(
    "week", 240, 8 * DAY, [*many(baseline, *(n * 8 * HOUR + 11 * HOUR for n in range(19))), (9 * MINUTE, baseline)]
)


def _random_switches(seed: int, scrape: int) -> Host:
    """Ten transitions that are born and grow at random moments; the exporter goes unscraped now and then."""
    random = Random(seed)
    events: list[tuple[float, Event]] = []
    for series in range(10):

        def switch(state: State, name: str = f"p{series}", amount: int = random.randint(1, 4)) -> None:
            add(state, SWITCHES, amount, from_persona="none", to_persona=name, chatmode="default")

        events += [(random.uniform(0, 2.5 * HOUR), switch) for _ in range(random.randint(1, 25))]
    down = [(start, start - random.uniform(2, 40) * MINUTE) for start in (random.uniform(HOUR, 2.5 * HOUR),)]
    return Host(f"random-{scrape}s-{seed}", scrape, 3 * HOUR, events, down, start=_only_build_info)


def _only_build_info() -> State:
    build_info = next(iter(fresh()))
    assert build_info == key("hypertool_build_info", version="0.1.0")
    return {build_info: 1}


def _stack() -> State:
    """What a host of the whole stack says about itself besides: collector, sinks, disks, agents, and one alert."""
    gauges = {
        key("ALERTS", alertname="TokenBudgetExceeded", alertstate="firing", severity="critical",
            component="hypertool", persona="backend-engineer"): 1,
        key("hypertool_store_quarantined_files"): 2,
        key("hypertool_agent_sessions_active", agent="claude-code"): 2,
        key("hypertool_agent_sessions_active", agent="codex"): 0,
        key("hypertool_agent_last_seen_timestamp_seconds", agent="claude-code"): 1.7e9,
        key("hypertool_export_last_success_timestamp_seconds", sink="langfuse"): 1.7e9,
        key("hypertool_export_last_success_timestamp_seconds", sink="otlp"): 0,
        key("prometheus_remote_storage_highest_timestamp_in_seconds", component_id="r"): 1.7e9 + 70_000,
        key("prometheus_remote_storage_queue_highest_sent_timestamp_seconds", component_id="r", url="u"): 1.7e9,
        key("prometheus_remote_storage_samples_pending", url="u"): 40,
        key("otelcol_exporter_queue_size", exporter="e", data_type="traces"): 3,
        key("job_instance:prometheus_remote_storage_samples_failed:rise5m"): 12,
        key("node_filesystem_avail_bytes", mountpoint="/var", device="d", fstype="ext4"): 40,
        key("node_filesystem_size_bytes", mountpoint="/var", device="d", fstype="ext4"): 1000,
        key("node_filesystem_avail_bytes", mountpoint="/srv", device="e", fstype="ext4"): 0,
        key("node_filesystem_size_bytes", mountpoint="/srv", device="e", fstype="ext4"): 1000,
    }  # fmt: skip
    return fresh() | gauges


def _agent_at_work(state: State) -> None:
    """One call of a coding agent that is counted everywhere, one that failed, and what went wrong beside it."""
    who = {"agent": "claude-code", "persona": "backend-engineer"}
    tokens = {"input": 100, "cache_read": 800, "cache_write": 100, "output": 500, "reasoning": 50}
    add(state, "hypertool_agent_calls_total", 1, **who, source="session_file")
    for kind, number in tokens.items():
        add(state, "hypertool_agent_tokens_total", number, **who, kind=kind)
    llm_call(state, "backend-engineer", "large", tokens, 12, 0.25, first_chunk="0.7")
    llm_call(state, "backend-engineer", "large", {}, 1, outcome="error")
    add(state, "hypertool_llm_usage_missing_total", 1, persona="backend-engineer", model="large", reason="no_usage")
    add(state, "hypertool_agent_blocked_total", 1, **who)
    add(state, "hypertool_agent_unrecognised_total", 1, agent="claude-code", reason="no_id")
    add(state, "hypertool_export_spans_total", 4, sink="langfuse", outcome="success")
    add(state, "hypertool_export_spans_total", 1, sink="langfuse", outcome="failure")
    add(state, "hypertool_label_overflow_total", 3, label="model")


#: Agents at work on a host with the whole stack: three calls of the same kind, the first in a column of an hour that is
#: complete at any time of day.
STACK = Host("stack", 15, 2 * HOUR, many(_agent_at_work, 100 * MINUTE, 20 * MINUTE, 10 * MINUTE), start=_stack)


RANDOM_HOSTS = tuple(_random_switches(seed, scrape) for seed in (1, 2) for scrape in (5, 15, 60))
HOSTS = (
    *NEW_HOSTS,
    IDLE,
    FAILING,
    AFTER_LONG_GAP,
    BORN_AFTER_GAP,
    RUN_IN_GAP,
    PURGED,
    PURGED_AND_BUSY,
    PURGED_AT_ONCE,
    WEEK,
    STACK,
    *RANDOM_HOSTS,
)
