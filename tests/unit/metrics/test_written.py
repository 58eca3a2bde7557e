"""The text that a process publishes, from kept pieces, is that of the plain rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypertool.domain.instruments import LLM_DURATION, STAGE_DURATION
from hypertool.domain.personas import Persona
from hypertool.recording.cells import Clock, Exemplar, OpenStage
from hypertool.recording.recorder import Recorder
from hypertool.recording.written import Unusual
from hypertool.store import snapshot_format
from tests.support.store_writers import Process, store

BACKEND = "backend-engineer"
LABELS = st.sampled_from(
    ["", "a", "%", "%d", "%s%%", '"', "\\", "\n", "\x00", "{}", "{0}", "\ud800", "\udc80x", "é", "\U0001f600", "]", ","]
) | st.text(st.characters(), max_size=8)
KEYS = st.tuples(LABELS, LABELS, LABELS)
COUNTS = st.integers() | st.sampled_from([0, -1, 10**15, 2**64, 10**400])
FLOATS = st.floats(width=64) | st.integers(-(2**60), 2**60)  # NaN and the infinities too
TRACES = st.integers(0, 2**128 - 1)
EXEMPLARS = st.builds(Exemplar, TRACES, st.integers(0, 2**64 - 1), FLOATS, FLOATS)
PERSONAS = st.builds(
    Persona, LABELS, st.integers(0, 10**12), st.sampled_from(["run", "day"]), source=st.sampled_from(["package", "x"])
)

Step = Callable[[Recorder], object]


def _observe(key: tuple[str, ...], bucket: int, seconds: float, exemplar: Exemplar | None) -> Step:
    def step(recorder: Recorder) -> None:
        histogram = recorder.histogram(LLM_DURATION.key, *key)
        histogram.observe(seconds)
        if exemplar is not None:
            histogram.exemplars[bucket] = exemplar

    return step


def _setter(part: str, name: Any, value: Any) -> Step:
    return lambda recorder: getattr(recorder, part).__setitem__(name, value)


STEPS = st.one_of(
    st.builds(lambda key, n: lambda r: setattr(r.counter(*key), "value", n), KEYS, COUNTS | FLOATS),
    st.builds(_observe, KEYS, st.integers(0, 14), st.floats(0, 1e9), st.none() | EXEMPLARS),
    st.builds(_setter, st.just("latest"), KEYS, COUNTS),
    st.builds(
        _setter, st.just("open_stages"), st.integers(), st.builds(OpenStage, LABELS, LABELS, FLOATS, st.booleans())
    ),
    st.builds(_setter, st.just("ended"), LABELS, st.tuples(FLOATS, COUNTS)),
    st.builds(_setter, st.just("windows"), st.tuples(LABELS, st.integers(), st.integers()), COUNTS),
    st.builds(_setter, st.just("reserved"), st.tuples(st.sampled_from(["", "run"]), LABELS), COUNTS),
    st.builds(_setter, st.just("resets_seen"), LABELS, st.integers()),
    st.builds(lambda sink, n: _setter("submitted", sink, lambda: n), LABELS, st.integers(0, 10**9)),
    st.builds(lambda persona, n: lambda r: r.spend(r.implicit, persona, n), PERSONAS, st.integers(0, 10**9)),
)


def _same(recorder: Recorder, personas: dict[str, Persona]) -> None:
    # Read again, as `written` is: buckets are numbers in one and texts in the other, and sort differently.
    plain = json.dumps(json.loads(json.dumps(recorder.snapshot(personas, 7.5))), sort_keys=True)
    written = json.loads(f"{{{recorder.written(personas, 7.5)}}}")
    assert json.dumps(written, sort_keys=True) == plain


@settings(max_examples=80, deadline=None)
@given(st.lists(STEPS, max_size=12), st.lists(PERSONAS, max_size=3))
def test_kept_pieces_tell_what_plain_rows_tell(steps: list[Step], personas: list[Persona]) -> None:
    """After every step, for hostile labels and figures: quotes, `%`, surrogates, NaN, integers of 400 digits."""
    recorder = Recorder(Clock(lambda: 1e9, lambda: 5.0))
    catalogue: dict[str, Persona] = {}
    _same(recorder, catalogue)
    for step in steps:
        step(recorder)
        _same(recorder, catalogue)
    for persona in personas:
        catalogue[persona.name] = persona
        _same(recorder, catalogue)


def test_ordinary_figures_are_written_by_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain form, three times as slow, is for unusual figures only."""
    recorder = Recorder()
    persona = Persona(BACKEND, 2000)
    recorder.add(5, "tok", BACKEND, "default", "m")
    recorder.spend(recorder.implicit, persona, 5)
    recorder.histogram(STAGE_DURATION.key, "w", "s", BACKEND).observe(0.1, Exemplar(1, 2, 0.1, 3.0))
    recorder.set_latest(3, "ok", "otlp")
    monkeypatch.setattr(snapshot_format, "members", lambda data: pytest.fail("written the slow way"))
    assert '["tok","backend-engineer","default","m",5]' in recorder.written({BACKEND: persona}, 1.0)


@pytest.mark.parametrize("figure", [10**400, -(10**400)], ids=["above", "below"])
def test_an_integer_no_float_can_hold(figure: int) -> None:
    """Beside a fraction, and as a value of an exemplar: the text is that of the plain rows."""
    recorder = Recorder(Clock(lambda: 1e9, lambda: 5.0))
    recorder.counter("tok", BACKEND, "default", "m").value = figure
    _same(recorder, {})
    recorder.counter("tok", BACKEND, "default", "n").value = 0.0  # type: ignore[assignment]
    _same(recorder, {})
    recorder.histogram(STAGE_DURATION.key, "w", "s", BACKEND).observe(0.1, Exemplar(1, 2, figure, 3.0))
    _same(recorder, {})


@pytest.mark.parametrize("figure", [0.5, float("nan"), float("inf"), "5"])
def test_an_unusual_figure_is_never_cut(figure: Any) -> None:
    """A count that is no integer is not published as one: readers shall refuse it."""
    recorder = Recorder()
    recorder.counter("tok", BACKEND, "default", "m").value = figure
    with pytest.raises(Unusual):
        recorder._written({}, 1.0)
    assert f'"m",{json.dumps(figure)}]' in recorder.written({}, 1.0)


def test_an_oversize_snapshot_drops_exemplars(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no reader could take is written without exemplars, which readers can do without."""
    process = Process(tmp_path).tokens(5)
    histogram = process.recorder.histogram(STAGE_DURATION.key, "package_release", "version_bump", BACKEND)
    histogram.observe(0.1, Exemplar(1, 2, 0.1, 3.0))
    whole = len(process.recorder.written({}, 1.0))
    monkeypatch.setattr(snapshot_format, "MAX_BYTES", whole + 60)
    process.publish()
    merged = store(tmp_path).merge().totals
    assert (merged.counters["tok", BACKEND, "default", "simulated"], merged.exemplars) == (5, {})
