"""The host's numbers as Prometheus metric families; the only module that needs the Prometheus client."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from ..domain.instruments import (
    AGENT_LAST_SEEN,
    AGENT_SESSIONS,
    AGENTS,
    BUDGET_EXCEEDED,
    BUDGET_LIMIT,
    BUDGET_REMAINING,
    BUILD_INFO,
    COUNTERS,
    EXPORT_LAST_SUCCESS,
    GATE_RESULTS,
    GAUGES,
    HISTOGRAMS,
    LABEL_OVERFLOW,
    OLDEST_START,
    QUALITY_GATE,
    STAGE_DURATION,
    STORE_FOLDED,
    STORE_LAST_FOLD,
    STORE_QUARANTINED,
    STORE_UNREADABLE,
    STORE_WRITERS,
    Instrument,
)
from ..domain.labels import LABELS
from ..domain.personas import Catalogue
from ..domain.workflows import Workflow
from ..runtime.version import __version__
from ..store.budgets import budgets, heard_of
from ..store.totals import Totals
from ..store.view import Merge


def families(merge: Merge, catalogue: Catalogue, resets: dict[str, int], now: float) -> Iterator[Metric]:
    """All metrics of the host; label sets known in advance start at 0."""
    totals, workflows = merge.totals, catalogue.workflows
    states = budgets(catalogue, totals, resets, now)
    counters = {**dict.fromkeys(_known_counters(states, workflows), 0), **totals.counters}
    histograms = {**_known_histograms(workflows), **totals.histograms}
    by_metric: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for key, value in sorted(counters.items()):
        by_metric.setdefault(key[0], []).append((key[1:], value))
    for instrument in COUNTERS:
        family = CounterMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
        for labels, value in by_metric.get(instrument.key, ()):
            if len(labels) == len(instrument.labels):
                family.add_metric(labels, value / instrument.scale if instrument.scale > 1 else value)
        yield family
    cells_by_metric: dict[str, list[tuple[tuple[str, ...], list[int]]]] = {}
    for key, cells in sorted(histograms.items()):
        cells_by_metric.setdefault(key[0], []).append((key, cells))
    for instrument in HISTOGRAMS:
        yield _histogram(instrument, cells_by_metric.get(instrument.key, ()), totals)
    yield _gauge(BUDGET_REMAINING, {(p,): s.remaining for p, s in states.items()})
    yield _gauge(BUDGET_LIMIT, {(p,): s.limit for p, s in states.items()})
    yield _gauge(OLDEST_START, _oldest_starts(totals, workflows))
    yield _gauge(
        EXPORT_LAST_SUCCESS,
        {key[1:]: at / 1e6 for key, at in totals.latest.items() if key[0] == EXPORT_LAST_SUCCESS.key and len(key) == 2},
    )
    active = dict.fromkeys(AGENTS, 0)
    for (agent, _), session in totals.agent_sessions.items():
        if agent in active and heard_of(session, now):
            active[agent] += 1
    yield _gauge(AGENT_SESSIONS, {(agent,): count for agent, count in active.items()})
    yield _gauge(
        AGENT_LAST_SEEN,
        {key[1:]: at / 1e6 for key, at in totals.latest.items() if key[0] == AGENT_LAST_SEEN.key and len(key) == 2},
    )
    yield _gauge(BUILD_INFO, {(__version__, platform.python_version()): 1})
    yield _gauge(STORE_UNREADABLE, {(): merge.unreadable})
    yield _gauge(STORE_QUARANTINED, {(): merge.quarantined})
    yield _gauge(STORE_LAST_FOLD, {(): merge.last_fold})
    yield _gauge(STORE_WRITERS, {(): merge.writers})


def names() -> Iterator[Metric]:
    """All metrics without values, so that a scrape can select some by name."""
    for instrument in COUNTERS:
        yield CounterMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    for instrument in HISTOGRAMS:
        yield HistogramMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    for instrument in GAUGES:
        yield GaugeMetricFamily(instrument.name, instrument.help, labels=instrument.labels)


def _known_counters(personas: Iterable[str], workflows: Mapping[str, Workflow]) -> Iterator[tuple[str, ...]]:
    for workflow in workflows.values():
        for stage in workflow.stages:
            for result in GATE_RESULTS:
                yield QUALITY_GATE.key, workflow.name, stage.name, result
    for persona in personas:
        yield BUDGET_EXCEEDED.key, persona
    for label in LABELS:
        yield LABEL_OVERFLOW.key, label
    yield (STORE_FOLDED.key,)


def _known_histograms(workflows: Mapping[str, Workflow]) -> dict[tuple[str, ...], list[int]]:
    return {
        (STAGE_DURATION.key, workflow.name, stage.name, stage.persona): [0] * (len(STAGE_DURATION.buckets) + 2)
        for workflow in workflows.values()
        for stage in workflow.stages
    }


def _gauge(instrument: Instrument, values: dict[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(instrument: Instrument, found: Iterable[tuple[tuple[str, ...], list[int]]], totals: Totals) -> Metric:
    family = HistogramMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    bounds = [*map(floatToGoString, instrument.buckets), "+Inf"]
    for key, cells in found:
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        seen = 0
        for place, (bound, count) in enumerate(zip(bounds, cells[:-1], strict=True)):
            seen += count
            told = totals.exemplars.get((key, place))
            if told is None:
                buckets.append((bound, seen))
            else:
                trace = {"trace_id": told[0], "span_id": told[1]}
                buckets.append((bound, seen, Exemplar(trace, told[2], told[3])))
        family.add_metric(key[1:], buckets=buckets, sum_value=cells[-1] / 1e6)
    return family


def _oldest_starts(totals: Totals, workflows: Mapping[str, Workflow]) -> dict[tuple[str, ...], float]:
    oldest: dict[tuple[str, ...], float] = {
        (workflow.name, stage.name): 0.0 for workflow in workflows.values() for stage in workflow.stages
    }
    for key in totals.histograms:
        if key[0] == STAGE_DURATION.key:
            oldest.setdefault((key[1], key[2]), 0.0)
    for workflow, stage, started, _gated in totals.open_stages:
        known = oldest.get((workflow, stage), 0.0)
        oldest[workflow, stage] = min(known, started) if known else started
    return oldest
