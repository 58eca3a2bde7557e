"""The hosts that the panels are tried on: each instance is one story, all in one Prometheus."""

from __future__ import annotations

from random import Random

from tests.dashboards.backfill import Event, Host, State, add, baseline, fresh, gate_only, key, purge, stage_run

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
#: The only run took place while nobody scraped, for twenty minutes.
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
    WEEK,
    *RANDOM_HOSTS,
)
