"""In the first minute after a run, when there is hardly a sample of it, no panel contradicts another."""

from __future__ import annotations

import pytest

from grafana.generator.panels import NEXT_COLUMN
from tests.dashboards.panels import Fetch, deviations, expected_after_baseline, run
from tests.dashboards.queries import View, all_queries, load_dashboards, panel_query
from tests.dashboards.scenarios import HOUR, MINUTE

#: The words of each panel for "nothing".
WORDS = {
    (dashboard["uid"], panel["title"]): panel["fieldConfig"]["defaults"]["noValue"]
    for dashboard in load_dashboards()
    for panel in dashboard["panels"]
}
LAST_TOKENS = panel_query("hypertool-persona-overview", "Last Tokens Used")


def seen(end: float, ago: float, later: float, instance: str, range_seconds: float = 6 * HOUR) -> View:
    """A look at a host, `later` than a moment that was `ago` (both in seconds)."""
    return View(end - ago + later + 0.5, int(range_seconds), {"instance": (instance,)})


@pytest.mark.parametrize("later", [0, 15, 30, 45, 60])
@pytest.mark.parametrize(("instance", "ago"), [("late-15s", 5 * MINUTE), ("new-15s", 5 * MINUTE), ("new-5s", 238)])
def test_the_first_minute_shows_the_run(instance: str, ago: float, later: float, filled: Fetch, end: float) -> None:
    """From the first sample on each panel shows the run, or is a graph that says when it will."""
    view, expected = seen(end, ago, later, instance), expected_after_baseline()
    for query in all_queries():
        if query.kind == "panel":
            shown = run(query, view, filled)
            if query.instant or [one for one in shown if one.total]:
                assert not deviations(query, view, shown, expected[query.name])
            else:
                assert WORDS[query.uid, query.panel].endswith(NEXT_COLUMN), query.name


@pytest.mark.parametrize("range_seconds", [15 * MINUTE, 6 * HOUR])
@pytest.mark.parametrize(
    ("instance", "ago", "later"),
    [
        ("late-15s", 5 * MINUTE, 0),
        ("late-15s", 5 * MINUTE, 30),
        ("new-15s", 5 * MINUTE, 15),
        ("week", 9 * MINUTE, 240),
        ("purged-at-once", 5 * MINUTE, 0),
        ("purged-at-once", 5 * MINUTE, 240),
        ("purged", 10 * MINUTE, 45),
    ],
)
def test_the_last_tokens_are_as_old_as_they_are(
    instance: str, ago: float, later: float, range_seconds: float, filled: Fetch, end: float
) -> None:
    """To the minute, or to the scrape; also after a purge."""
    view = seen(end, ago, later, instance, range_seconds)
    [shown] = run(LAST_TOKENS, view, filled)
    assert -1 <= shown.last / 1000 - (end - ago) <= (330 if instance == "week" else 61)


def test_a_new_hosts_run_is_later_than_an_olds(filled: Fetch, end: float) -> None:
    """A run that was over before the first scrape counts beside a host that was busy before."""
    view = View(end - 5 * MINUTE + 1, int(6 * HOUR), {"instance": ("late-15s", "failing")})
    [shown] = run(LAST_TOKENS, view, filled)
    assert shown.last / 1000 == pytest.approx(view.end, abs=2)
