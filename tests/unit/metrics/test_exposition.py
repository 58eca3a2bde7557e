"""What a scrape gets, read by the Prometheus client's own parsers."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hypertool import PersonaMetricsCollector
from hypertool.domain.instruments import ALL
from hypertool.domain.personas import load_catalogue
from hypertool.domain.workflows import WORKFLOWS
from hypertool.service.exporter import HostCollector
from tests.support.debian_binaries import OLDEST_RELEASE, BinariesUnavailable, prometheus_binaries
from tests.support.store_writers import Process, store

BACKEND = "backend-engineer"


@pytest.fixture
def registry(tmp_path: Path) -> CollectorRegistry:
    """The host's, as the exporter has it."""
    made = CollectorRegistry(auto_describe=False)
    made.register(HostCollector(store(tmp_path / "state"), load_catalogue()))
    return made


def _text(registry: CollectorRegistry) -> dict[str, Metric]:
    return {metric.name: metric for metric in parse_text(generate_latest(registry).decode())}


def _values(metric: Metric) -> dict[tuple[str, ...], float]:
    labels = {i.name.removesuffix("_total"): i.labels for i in ALL}[metric.name]
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in metric.samples}


@pytest.mark.predecessor("D13")
def test_series_that_exist_from_the_start(
    registry: CollectorRegistry,
) -> None:
    """Series with known labels exist at 0 from the start; tokens and switches do not."""
    found = _text(registry)
    stages = {(w.name, s.name) for w in WORKFLOWS.values() for s in w.stages}
    personas = {(p,) for p in load_catalogue().personas}
    assert _values(found["hypertool_persona_token_budget_remaining"]) == {
        (p.name,): p.tokens for p in load_catalogue().personas.values()
    }
    assert set(_values(found["hypertool_persona_token_budget_limit"])) == personas
    assert _values(found["hypertool_persona_token_budget_exceeded"]) == dict.fromkeys(personas, 0)
    assert _values(found["hypertool_workflow_quality_gate"]) == {(*s, r): 0 for s in stages for r in ("pass", "fail")}
    assert _values(found["hypertool_workflow_stage_oldest_start_timestamp_seconds"]) == dict.fromkeys(stages, 0)
    counts = [s for s in found["hypertool_workflow_stage_duration_seconds"].samples if s.name.endswith("_count")]
    assert {(s.labels["workflow"], s.labels["stage"]) for s in counts} == stages
    assert {s.value for s in counts} == {0}
    assert found["hypertool_persona_tokens_used"].samples == []
    assert found["hypertool_persona_switches"].samples == []
    assert "hypertool_build_info" in found


def test_both_formats_have_every_metric_once(registry: CollectorRegistry, tmp_path: Path) -> None:
    """Both formats have every metric once, without `_created` series and duplicates."""
    Process(tmp_path / "state").tokens(5).stage(1).publish().die()
    names = {i.name.removesuffix("_total") for i in ALL}
    for text, parsed in (
        (generate_latest(registry).decode(), parse_text),
        (generate_openmetrics(registry).decode(), parse_openmetrics),
    ):
        metrics = list(parsed(text))
        assert {metric.name for metric in metrics} == names
        assert len(metrics) == len(names)
        samples = [(s.name, tuple(sorted(s.labels.items()))) for metric in metrics for s in metric.samples]
        assert len(samples) == len(set(samples)) > 100
        assert "_created" not in text


def test_bucket_bounds_match_the_rules(registry: CollectorRegistry) -> None:
    """Bucket bounds are written as the rules spell them."""
    found = _text(registry)
    bounds = [
        s.labels["le"]
        for s in found["hypertool_workflow_stage_duration_seconds"].samples
        if s.name.endswith("_bucket") and s.labels["stage"] == "version_bump"
    ]
    assert bounds == [
        "0.5",
        "1.0",
        "2.5",
        "5.0",
        "10.0",
        "30.0",
        "60.0",
        "120.0",
        "300.0",
        "600.0",
        "1800.0",
        "3600.0",
        "+Inf",
    ]


def test_buckets_are_cumulative(registry: CollectorRegistry, tmp_path: Path) -> None:
    """Buckets are cumulative, and the sum is in seconds."""
    process = Process(tmp_path / "state")
    for seconds in (0.5, 0.500001, 299.9, 300.0, 300.1, 4000.0):
        process.stage(seconds)
    process.publish()
    samples = [
        s
        for s in _text(registry)["hypertool_workflow_stage_duration_seconds"].samples
        if s.labels["stage"] == "version_bump"
    ]
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert (buckets["0.5"], buckets["1.0"], buckets["120.0"], buckets["300.0"]) == (1, 2, 2, 4)
    assert (buckets["600.0"], buckets["3600.0"], buckets["+Inf"]) == (5, 5, 6)
    assert [s.value for s in samples if s.name.endswith("_sum")] == [pytest.approx(4901.000001, abs=1e-9)]


def test_label_values_survive_escaping() -> None:
    """Label values survive quotes, backslashes and other alphabets."""
    registry = CollectorRegistry()
    collector = PersonaMetricsCollector(registry)
    values = ['quo"te', "back\\slash", "back\\nslash", "模型", '{a="b"}', "x" * 100]
    for value in values:
        collector.record_token_usage(BACKEND, "default", value, 7)
    for text, parsed in (
        (generate_latest(registry).decode(), parse_text),
        (generate_openmetrics(registry).decode(), parse_openmetrics),
    ):
        found = {m.name: m for m in parsed(text)}["hypertool_persona_tokens_used"]
        assert {s.labels["model"] for s in found.samples} == set(values)


def test_openmetrics_carries_exemplars() -> None:
    """OpenMetrics carries the trace of an observation as an exemplar."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    registry = CollectorRegistry()
    collector = PersonaMetricsCollector(registry)
    with TracerProvider().get_tracer("test").start_as_current_span("stage") as span:
        collector.record_workflow_stage("w", "s", BACKEND, 3.0, True)
        context = span.get_span_context()
    collector.record_workflow_stage("w", "s", BACKEND, 100.0, True)
    found = {m.name: m for m in parse_openmetrics(generate_openmetrics(registry).decode())}
    exemplars = {
        s.labels["le"]: s.exemplar
        for s in found["hypertool_workflow_stage_duration_seconds"].samples
        if s.exemplar is not None
    }
    assert list(exemplars) == ["5.0"]
    assert exemplars["5.0"].labels == {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }
    assert exemplars["5.0"].value == 3.0


def test_stage_in_progress_and_its_death(registry: CollectorRegistry, tmp_path: Path) -> None:
    """A stage in progress shows its start; if its process dies, that is one failed gate."""
    from hypertool.recording.cells import OpenStage

    process = Process(tmp_path / "state")
    began = time.time() - 100
    process.recorder.open_stages[1] = OpenStage("package_release", "version_bump", began, True)
    process.recorder.open_stages[2] = OpenStage("package_release", "version_bump", began + 50, False)
    process.publish()
    starts = "hypertool_workflow_stage_oldest_start_timestamp_seconds"
    assert _values(_text(registry)[starts])["package_release", "version_bump"] == pytest.approx(began)
    process.die()
    folding = store(tmp_path / "state")
    folding.fold()
    folding.fold()
    found = _text(registry)
    assert _values(found[starts])["package_release", "version_bump"] == 0
    assert _values(found["hypertool_workflow_quality_gate"])["package_release", "version_bump", "fail"] == 1


def test_a_scrape_may_ask_for_some_metrics_by_name(registry: CollectorRegistry) -> None:
    wanted = registry.restricted_registry(["hypertool_build_info"])
    assert [metric.name for metric in wanted.collect()] == ["hypertool_build_info"]


def test_a_damaged_store_does_not_stop_a_scrape(registry: CollectorRegistry, tmp_path: Path) -> None:
    live = tmp_path / "state" / "live"
    (live / "x.json").write_text("nonsense")
    assert _values(_text(registry)["hypertool_store_unreadable_files"]) == {(): 1}


def test_promtool_finds_nothing_to_say(registry: CollectorRegistry, tmp_path: Path) -> None:
    try:
        promtool = prometheus_binaries(OLDEST_RELEASE) / "promtool"
    except BinariesUnavailable as missing:
        pytest.skip(f"promtool cannot be had here: {missing}")
    Process(tmp_path / "state").tokens(5).stage(1).publish()
    done = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(registry), capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
