"""Writes the PromQL of the panels: exact counts from counters that are born with their first value."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

from .parameters import KNOWN, LOOKBACK

BUILD_INFO = "hypertool_build_info"
#: What tells two hosts apart; both labels are added by the scrape.
TARGET = "job, instance"


@dataclass(frozen=True)
class Metric:
    """A metric name with its label matchers."""

    name: str
    matchers: tuple[str, ...] = ()

    def where(self, *matchers: str) -> Metric:
        return Metric(self.name, self.matchers + matchers)

    def __str__(self) -> str:
        return f"{self.name}{{{', '.join(self.matchers)}}}" if self.matchers else self.name


def count_in(metric: Metric, window: str) -> str:
    """How much each series of a counter grew in the window that ends now, exactly and not extrapolated.

    It is the last value minus the one at the window's start. The starting value is, in this order: the last
    one before the window; for a host that was not scraped for longer than the look-back, the first one after
    that gap (what happened in the gap has no known time); otherwise 0, because the series is newborn. Our
    counters go down only when the store is purged: what came after the purge is counted, from 0.
    """
    return block(
        "\n".join(
            (
                f"last_over_time({metric}[{window}]) - (",
                f"  last_over_time({metric}[{LOOKBACK}] offset {window})",
                "  or (",
                f"    min_over_time({metric}[{window}])",
                f"    and count_over_time({metric}[{window}]) >= on ({TARGET}) group_left ()",
                f"      sum by ({TARGET}) (count_over_time({BUILD_INFO}[{window}]))",
                f"    and on ({TARGET}) last_over_time({BUILD_INFO}[{KNOWN}] offset {window})",
                f"    unless on ({TARGET}) last_over_time({BUILD_INFO}[{LOOKBACK}] offset {window})",
                "  )",
                f") >= 0 unless resets({metric}[{window}]) > 0",
                f"or last_over_time({metric}[{window}])",
            )
        )
    )


def zero_where_scraped(metric: Metric) -> str:
    """0 at every time the host was scraped, for each series that the dashboard's range ends with.

    Without it a newborn series has no left neighbour and its mean covers only its own life.
    """
    return f"0 * last_over_time({metric}[$__range] @ end()) and on ({TARGET}) {BUILD_INFO}"


def total(expression: str, *labels: str) -> str:
    """The sum by `labels`; without any, one number."""
    return f"sum by ({', '.join(labels)}) {expression}" if labels else f"sum {expression}"


def quantile(share: float, buckets: str, *labels: str) -> str:
    """The quantile of counted buckets; nothing, instead of NaN, where nothing was counted."""
    return f"histogram_quantile({share}, {total(buckets, *labels, 'le')}) >= 0"


def block(expression: str) -> str:
    return f"(\n{indent(expression, '  ')}\n)"
