"""Counts events exactly in PromQL: the one source of every recording rule and every dashboard query.

`increase()` loses the first event of a series that is born with its value, and it extrapolates. Our counters never
decrease except when the store is purged, and every scrape carries `hypertool_build_info`, so a plain difference is
exact. It has three forms:

* `count_in`: for dashboards, which may look at any window and at a host that was away for weeks;
* `recorded_count`: for recording rules over a fixed window, evaluated every 20 s, which must be cheap;
* `recorded_loss`: for losses of a collector, which often become visible only after a gap of hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

BUILD_INFO = "hypertool_build_info"
#: The labels that tell two hosts apart; the scrape adds both.
TARGET = "job, instance"
#: How far before a window to look for its starting value if there was no scrape exactly at its start.
LOOKBACK = "1h"
#: How long a host counts as known. If a counter is present in the very first scrape after a longer gap,
#: it is old on a known host; on a host never seen before it is new and counts from 0.
KNOWN = "30d:5m"
#: Recorded by records.py: 1 for a collector that existed before a loss, or started in the last nine hours.
KNOWN_COLLECTOR = "job_instance:collector:known9h"
#: The window of losses, and the longest gap across which a loss is still counted.
LOSS_WINDOW, LOSS_GAP = "5m", "9h"


@dataclass(frozen=True)
class Metric:
    """A metric name with its label matchers."""

    name: str
    matchers: tuple[str, ...] = ()

    def where(self, *matchers: str) -> Metric:
        return Metric(self.name, self.matchers + matchers)

    def of_all_buckets(self) -> tuple[Metric, str]:
        """For the buckets of a histogram, its count, and how to match it; for any other counter, the counter itself."""
        if self.name.endswith("_bucket"):
            return Metric(f"{self.name.removesuffix('_bucket')}_count", self.matchers), "ignoring (le) "
        return self, ""

    def __str__(self) -> str:
        return f"{self.name}{{{', '.join(self.matchers)}}}" if self.matchers else self.name


def count_in(metric: Metric, window: str) -> str:
    """For dashboards: how much each series of a counter grew in the window that ends now.

    It is the last value minus the starting value. The starting value is the first of these that exists: the last value
    before the window; for a host that was not scraped for longer than the look-back, the first value after that gap
    (events in the gap have no known time); otherwise 0, because the series is newborn. After a purge of the store, only
    events after the purge are counted.

    Each mention of a window reads all its samples, and most series are buckets. So what is the same for all buckets of
    a histogram (was it purged, was it there in every scrape) is read from its count only. The joins are limited to the
    hosts that came back after a gap; these seldom exist, and a join with nothing costs nothing.
    """
    whole, same = metric.of_all_buckets()
    gone = f"last_over_time({BUILD_INFO}[{KNOWN}] offset {window})"
    gone += f" unless on ({TARGET}) last_over_time({BUILD_INFO}[{LOOKBACK}] offset {window})"
    return block(
        "\n".join(
            (
                f"last_over_time({metric}[{window}]) - (",
                f"  last_over_time({metric}[{LOOKBACK}] offset {window})",
                "  or (",
                f"    min_over_time({metric}[{window}])",
                f"    and {same}(count_over_time({whole}[{window}]) and on ({TARGET}) ({gone}))",
                f"      >= on ({TARGET}) group_left () sum by ({TARGET}) (count_over_time({BUILD_INFO}[{window}]))",
                "  )",
                f") >= 0 unless {same}resets({whole}[{window}]) > 0",
                f"or last_over_time({metric}[{window}])",
            )
        )
    )


def recorded_count(metric: Metric, window: str, *, respelt: str = "") -> str:
    """For recording rules: how much each series of a counter grew in the window that ends now.

    The first arm that has the series wins: a purge inside the window (`increase()` survives a reset); the plain
    difference to the start of the window; a series born after its target was first seen, which counts from 0 (one as
    old as its target is history, not news); a gap at the start of the window, which counts the change since then.
    `respelt` names a label whose values are spelt differently by other versions: such a series is not newborn.
    """
    arms = [
        f"increase({metric}[{window}])\nand resets({metric}[{window}]) > 0",
        f"{metric}\n- {metric} offset {window} >= 0",
        "\n".join(
            (
                f"last_over_time({metric}[{window}])",
                f"and count_over_time({metric}[{window}])",
                f"  < on ({TARGET}) group_left ()",
                f"  sum by ({TARGET}) (count_over_time({BUILD_INFO}[{window}]))",
                *([f"unless ignoring ({respelt}) {metric} offset {window}"] if respelt else []),
            )
        ),
        f"max_over_time({metric}[{window}])\n- min_over_time({metric}[{window}])",
    ]
    return "\nor\n".join(block(arm) for arm in arms)


def recorded_loss(metric: Metric, *labels: str) -> str:
    """For recording rules: how much a collector lost in the last five minutes, summed by `labels`.

    Most of these counters appear with their first loss, and a loss often becomes visible only after a gap. The first
    arm that has the series wins: a restart of the collector inside the window; the difference to the last known value,
    across a gap of up to nine hours; the whole value, if the collector is known or younger than those nine hours. On a
    host that returns after a weekend the value is history, not news.
    """
    arms = [
        f"increase({metric}[{LOSS_WINDOW}])\nand resets({metric}[{LOSS_WINDOW}]) > 0",
        f"{metric}\n- last_over_time({metric}[{LOSS_GAP}] offset {LOSS_WINDOW}) >= 0",
        f"{metric}\nand on ({TARGET}) {KNOWN_COLLECTOR}",
    ]
    inside = "\nor\n".join(block(arm) for arm in arms)
    return f"sum by ({', '.join(labels)}) {block(inside)}"


def zero_where_scraped(metric: Metric) -> str:
    """0 at every scrape of the host, for each series at the end of the dashboard's range.

    Without it a newborn series has no earlier points, and its mean covers only its own life.
    """
    return f"0 * last_over_time({metric}[$__range] @ end()) and on ({TARGET}) {BUILD_INFO}"


def total(expression: str, *labels: str) -> str:
    """The sum by `labels`; without labels, a single number."""
    return f"sum by ({', '.join(labels)}) {expression}" if labels else f"sum {expression}"


def zero_in(metric: Metric, window: str) -> str:
    """0 for each series of a counter that `count_in` would count in the window, at a fifth of its cost."""
    return f"(0 * last_over_time({metric}[{window}]))"


def quantile(share: float, buckets: str, *labels: str) -> str:
    """The quantile of counted buckets; empty instead of NaN if nothing was counted."""
    return f"histogram_quantile({share}, {total(buckets, *labels, 'le')}) >= 0"


def block(expression: str) -> str:
    """The expression in parentheses, on separate lines."""
    return f"(\n{indent(expression, '  ')}\n)"
