"""The collector's contract: what counts, and under which labels."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from hypertool import PersonaMetricsCollector, QualityGateFailed
from tests.unit.metrics.collectors import BACKEND, TESTING, Hands, counted


def sessions(collector: PersonaMetricsCollector) -> dict[tuple[str, ...], float]:
    return {key[1:]: h.sum / 1e6 for key, h in collector.recorder.histograms.items() if key[0] == "pd"}


POSITIONAL = {
    "switch_persona": ["from_persona", "to_persona", "chatmode"],
    "record_token_usage": ["persona", "chatmode", "model", "tokens"],
    "record_workflow_stage": ["workflow", "stage", "persona", "duration_seconds", "quality_gate_passed"],
    "track_stage": ["workflow", "stage", "persona", "auto_quality_gate"],
    "get_remaining_budget": ["persona"],
    "reset_budget": ["persona"],
}


@pytest.mark.parametrize("method", POSITIONAL)
def test_positional_orders_are_those_that_callers_use(method: str) -> None:
    parameters = list(inspect.signature(getattr(PersonaMetricsCollector, method)).parameters.values())[1:]
    assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == POSITIONAL[method]


@pytest.mark.predecessor("D6")
def test_an_alias_counts_under_the_full_name(collector: PersonaMetricsCollector) -> None:
    collector.record_token_usage("tta-backend-engineer", "bug-fix", "simulated", 3)
    collector.record_token_usage("backend", "bug-fix", "simulated", 4)
    assert counted(collector, "tok") == {(BACKEND, "bug-fix", "simulated"): 7}


# Switching


def work(collector: PersonaMetricsCollector, hands: Hands, *switches: tuple[str, str, str, int]) -> None:
    """Switch from a persona to another with a chatmode, and work for so many seconds; then the session ends."""
    for origin, persona, chatmode, seconds in switches:
        collector.switch_persona(origin, persona, chatmode)
        hands.now += seconds
    collector.end_session()


@pytest.mark.predecessor("D8")
def test_a_session_is_closed_under_its_own_chatmode(collector: PersonaMetricsCollector, hands: Hands) -> None:
    work(
        collector, hands, ("none", "backend", "feature-implementation", 10), ("backend", "testing", "bug-validation", 5)
    )
    assert sessions(collector) == {(BACKEND, "feature-implementation"): 10, (TESTING, "bug-validation"): 5}
    assert counted(collector, "sw") == {
        ("none", BACKEND, "feature-implementation"): 1,
        (BACKEND, TESTING, "bug-validation"): 1,
    }


@pytest.mark.predecessor("D8")
def test_switch_to_the_active_persona(collector: PersonaMetricsCollector, hands: Hands) -> None:
    """A switch to the active persona counts nothing and keeps the session."""
    work(collector, hands, ("none", "backend", "bug-fix", 1), ("backend", "tta-backend-engineer", "bug-fix", 1))
    assert counted(collector, "sw") == {("none", BACKEND, "bug-fix"): 1}
    assert sessions(collector) == {(BACKEND, "bug-fix"): 2}


def test_new_chatmode_closes_the_session(collector: PersonaMetricsCollector, hands: Hands) -> None:
    """Another chatmode of the same persona closes the session and counts no switch."""
    work(collector, hands, ("none", "backend", "bug-fix", 1), ("backend", "backend", "default", 2))
    assert counted(collector, "sw") == {("none", BACKEND, "bug-fix"): 1}
    assert sessions(collector) == {(BACKEND, "bug-fix"): 1, (BACKEND, "default"): 2}


def test_a_given_origin_is_taken_as_given(collector: PersonaMetricsCollector) -> None:
    collector.switch_persona("none", "backend", "default")
    collector.switch_persona("devops", "testing", "default")
    assert ("devops-engineer", TESTING, "default") in counted(collector, "sw")


def test_backward_clock_gives_no_negative_session(collector: PersonaMetricsCollector, hands: Hands) -> None:
    """A clock that is set back gives no negative duration."""
    collector.switch_persona("none", "backend", "default")
    hands.now -= 100
    collector.end_session()
    assert sessions(collector) == {(BACKEND, "default"): 0}


# Stages


def _pass(stage: Any) -> None:
    """Nothing to say."""


def _raise(error: BaseException) -> Callable[[Any], None]:
    def body(stage: Any) -> None:
        raise error

    return body


def _say(verdict: bool, error: BaseException | None = None) -> Callable[[Any], None]:
    def body(stage: Any) -> None:
        stage.set_quality_gate(verdict, "because")
        if error is not None:
            raise error

    return body


VERDICTS = [
    ("nothing said", True, _pass, "pass"),
    ("said good", True, _say(True), "pass"),
    ("said bad", True, _say(False), "fail"),
    ("exception", True, _raise(RuntimeError("x")), "fail"),
    ("gate failed", True, _raise(QualityGateFailed("x")), "fail"),
    ("cancelled", True, _raise(asyncio.CancelledError()), "fail"),
    ("generator closed", True, _raise(GeneratorExit()), "fail"),
    ("interrupted", True, _raise(KeyboardInterrupt()), "fail"),
    ("said good, then exception", True, _say(True, RuntimeError("x")), "fail"),
    ("not automatic, nothing said", False, _pass, None),
    ("not automatic, exception", False, _raise(RuntimeError("x")), None),
    ("not automatic, said good", False, _say(True), "pass"),
    ("not automatic, said bad", False, _say(False), "fail"),
    ("not automatic, said good, then exception", False, _say(True, RuntimeError("x")), "fail"),
]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["with", "async with"])
@pytest.mark.parametrize(("auto", "body", "result"), [v[1:] for v in VERDICTS], ids=[v[0] for v in VERDICTS])
def test_the_verdict_on_a_stage(
    collector: PersonaMetricsCollector,
    hands: Hands,
    asynchronous: bool,
    auto: bool,
    body: Callable[[Any], None],
    result: str | None,
) -> None:
    tracker = collector.track_stage("package_release", "version_bump", "backend", auto)

    async def run_async() -> None:
        async with tracker as stage:
            hands.now += 2
            body(stage)

    def run() -> None:
        with tracker as stage:
            hands.now += 2
            body(stage)

    with contextlib.suppress(RuntimeError, QualityGateFailed, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
        asyncio.run(run_async()) if asynchronous else run()
    expected = {} if result is None else {("package_release", "version_bump", result): 1}
    assert counted(collector, "qg") == expected
    assert tracker.quality_gate_passed == {"pass": True, "fail": False, None: None}[result]
    histogram = collector.recorder.histogram("st", "package_release", "version_bump", BACKEND)
    assert (sum(histogram.buckets), histogram.sum) == (1, 2_000_000)
    assert not collector.recorder.open_stages


def test_stage_left_open_by_a_generator_fails(collector: PersonaMetricsCollector) -> None:
    """A stage that a generator leaves open fails when the generator is closed."""

    def stream() -> Any:
        with collector.track_stage("w", "s", "backend"):
            yield 1
            yield 2

    running = stream()
    next(running)
    running.close()
    assert counted(collector, "qg") == {("w", "s", "fail"): 1}


def test_a_stage_enters_the_session_of_its_persona(collector: PersonaMetricsCollector, hands: Hands) -> None:
    with collector.track_stage("package_release", "version_bump", "backend"):
        hands.now += 1
    with collector.track_stage("package_release", "quality_validation", "testing"):
        hands.now += 2
    collector.end_session()
    assert counted(collector, "sw") == {
        ("none", BACKEND, "package-release"): 1,
        (BACKEND, TESTING, "package-release"): 1,
    }
    assert sessions(collector) == {(BACKEND, "package-release"): 1, (TESTING, "package-release"): 2}


@pytest.mark.parametrize("verdict", ["yes", 1, 0, None, "pass"])
def test_verdict_must_be_a_bool(collector: PersonaMetricsCollector, verdict: Any) -> None:
    """A verdict is True or False; truthy values are a TypeError."""
    with pytest.raises(TypeError, match="True or False"):
        collector.record_workflow_stage("w", "s", "backend", 1.0, verdict)
    with collector.track_stage("w", "s", "backend", False) as stage, pytest.raises(TypeError, match="True or False"):
        stage.set_quality_gate(verdict)
    assert counted(collector, "qg") == {}


# Registries


def exposed(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name
    }


@pytest.mark.predecessor("D9")
def test_two_collectors_in_one_registry(registry: CollectorRegistry) -> None:
    """Two collectors in one registry are added up and have separate budgets."""
    one, two = PersonaMetricsCollector(registry), PersonaMetricsCollector(registry)
    one.record_token_usage("backend", "default", "simulated", 100)
    two.record_token_usage("backend", "default", "simulated", 300)
    name = "hypertool_persona_tokens_used_total"
    assert exposed(registry, name) == {(BACKEND, "default", "simulated"): 400}
    samples = [(s.name, tuple(sorted(s.labels.items()))) for m in registry.collect() for s in m.samples]
    assert len(samples) == len(set(samples))
    assert (one.get_remaining_budget("backend"), two.get_remaining_budget("backend")) == (1900, 1700)
    assert exposed(registry, "hypertool_persona_token_budget_remaining")[BACKEND,] == 1700


def test_isolated_collectors_stay_isolated(tmp_path: Any) -> None:
    """Isolated collectors publish nothing and leave other registries alone."""
    from prometheus_client import REGISTRY

    mine, other = CollectorRegistry(), CollectorRegistry()
    Counter("hypertool_persona_tokens_used", "the application's own", registry=mine)
    names = {metric.name for metric in REGISTRY.collect()}
    collector = PersonaMetricsCollector(mine)
    collector.record_token_usage("backend", "default", "simulated", 1)
    with collector.track_stage("w", "s", "backend"):
        pass
    assert collector.flush()
    assert not (tmp_path / "state").exists()
    assert {metric.name for metric in REGISTRY.collect()} == names
    assert list(other.collect()) == []


@pytest.mark.predecessor("D9")
def test_second_collector_shares_the_core() -> None:
    """A second collector of the process counts into the same numbers as the first."""
    from hypertool import get_persona_metrics

    assert PersonaMetricsCollector().recorder is get_persona_metrics().recorder
    assert get_persona_metrics() is get_persona_metrics()


def test_reentrant_recording_does_not_hang(collector: PersonaMetricsCollector) -> None:
    """A signal handler, or a generator that the garbage collector closes, runs in whatever thread there is."""
    with collector.recorder.lock:
        collector.record_token_usage("backend", "default", "simulated", 1)
        with collector.track_stage("w", "s", "backend"):
            pass
        collector.recorder.snapshot({}, 0.0)
    assert counted(collector, "tok") == {(BACKEND, "default", "simulated"): 1}


def test_snapshots_while_stages_change(collector: PersonaMetricsCollector) -> None:
    """Snapshots are consistent while stages begin and end in other threads."""
    import sys
    import threading

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    stop = threading.Event()
    done = 0

    def work() -> None:
        nonlocal done
        while not stop.is_set():
            with collector.track_stage("package_release", "version_bump", "backend"):
                done += 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(1500):
            collector.recorder.snapshot({}, 0.0)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)
    assert done > 0
