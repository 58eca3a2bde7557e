"""PersonaMetricsCollector: what a program calls to record personas, tokens, stages and gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..domain.checks import MAX_TOKENS_PER_RECORD, duration, whole_tokens
from ..domain.instruments import (
    EXPORT_LAST_SUCCESS,
    EXPORT_OUTCOMES,
    EXPORT_SCORES,
    EXPORT_SPANS,
    QUALITY_GATE,
    STAGE_DURATION,
    SWITCHES,
    TOKENS,
)
from ..domain.labels import OTHER
from ..domain.personas import Catalogue, Persona
from ..domain.workflows import declared_chatmode
from ..errors import TokenBudgetExceeded
from ..recording.ambient import CHATMODE, RUN
from ..recording.cells import Clock, StageCells
from ..recording.recorder import Recorder
from ..recording.runs import Run
from ..runtime.late_imports import loading
from ..runtime.settings import disabled
from .core import Core, shared
from .registry_bridge import isolated
from .stages import StageTracker

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class PersonaMetricsCollector:
    """Records what personas do.

    Without a registry, every instance is a view of the one collector of this process (`get_persona_metrics()`),
    whose numbers go to the host's store and from there to http://localhost:9464/metrics. With a registry the
    collector is on its own: its metrics and budgets appear in that registry and nowhere else.

    A mistake in a call (unknown persona, impossible token count) raises ValueError or TypeError before anything is
    counted. Nothing else is raised, not even for a full disk.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        catalogue: Catalogue | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._core = shared() if registry is None else isolated(registry, catalogue, clock)

    def __deepcopy__(self, memo: dict[int, object]) -> PersonaMetricsCollector:
        """Itself: the copy of an object that counts still counts in the same place."""
        return self

    def __reduce__(self) -> tuple[Callable[[], PersonaMetricsCollector], tuple[()]]:
        """In another process, the collector of that process. Raises TypeError for one with a registry of its own."""
        if self._core is not shared():
            raise TypeError("a PersonaMetricsCollector with a registry of its own cannot be sent to another process")
        return get_persona_metrics, ()

    @property
    def catalogue(self) -> Catalogue:
        """The personas and budgets of this collector."""
        return self._core.catalogue

    @property
    def recorder(self) -> Recorder:
        """The numbers of this process; for the modules of this package."""
        return self._core.recorder

    def label(self, name: str, value: str) -> str:
        """The label value that is recorded for `value`: itself, or `other` beyond the host's limit."""
        return self._core.guard.resolve(name, value)

    @property
    def core(self) -> Core:
        """Recorder, personas, label limits and store; for the modules of this package."""
        return self._core

    # Personas

    def switch_persona(self, from_persona: str | None, to_persona: str, chatmode: str) -> None:
        """Count a switch (labels from_persona, to_persona, chatmode) and close the session before it.

        `from_persona` is taken as given ("none" for a first switch); None means the active persona.
        Switching to the persona already active counts nothing.
        """
        to = self.catalogue.resolve(to_persona).name
        origin = from_persona
        if origin is not None and origin != "none":
            origin = self.catalogue.resolve(origin).name
        mode = self._core.guard.resolve("chatmode", chatmode)
        self.recorder.switch(self.recorder.run_of(RUN.get()), origin, to, mode, explicit=True)
        self.publish_soon()

    def end_session(self) -> None:
        """Close the active session under its own chatmode; counts no switch."""
        self.recorder.end_session(self.recorder.run_of(RUN.get()))
        self.publish_soon()

    def record_switch(self, from_persona: str, to_persona: str, chatmode: str) -> None:
        """Count a switch between sessions of other processes."""
        origin = from_persona if from_persona == "none" else self.catalogue.resolve(from_persona).name
        to = self.catalogue.resolve(to_persona).name
        if origin != to:
            self.recorder.add(1, SWITCHES.key, origin, to, self._core.guard.resolve("chatmode", chatmode))

    def record_session(self, persona: str, chatmode: str, seconds: float) -> None:
        """Record a session (seconds) that began in another process and has ended."""
        name = self.catalogue.resolve(persona).name
        self.recorder.observe_session(name, self._core.guard.resolve("chatmode", chatmode), duration(seconds))

    def declare_persona(
        self, name: str, tokens: int, *, window: str = "run", on_exceed: str = "warn", aliases: Sequence[str] = ()
    ) -> None:
        """Add a persona and its budget (tokens per window) from code, before it is used.

        A persona of that name in a configuration file stays as it is there: budgets are the operator's. Raises
        ValueError for an impossible name or budget, and for a name that is known with another budget.
        """
        self.catalogue.declare(Persona(name, tokens, window, on_exceed, tuple(aliases)))

    # Tokens and budgets

    def record_token_usage(self, persona: str, chatmode: str, model: str, tokens: int) -> None:
        """Count input plus output tokens (labels persona, chatmode, model) and debit the persona's budget.

        Raises ValueError for an unknown persona or a count that is negative, not whole, not finite or above 10^9
        in one record, and TypeError for anything but a number; nothing is counted then.
        """
        recorder = self._core.recorder
        try:
            cell = recorder.token_cells.get((persona, chatmode, model))
        except TypeError:  # Unhashable; `_record_new_tokens` raises the clear error.
            cell = None
        if cell is None or tokens.__class__ is not int or not 0 <= tokens <= MAX_TOKENS_PER_RECORD:
            self._record_new_tokens(persona, chatmode, model, tokens)
            return
        counter, known = cell
        run = RUN.get()
        if run is None or run.owner is not recorder.epoch:
            run = recorder.implicit
        account = run.accounts.get(known.name)
        with recorder.lock:
            counter.value += tokens
            exceeded = account is not None and account.debit(tokens)
        if account is None:
            recorder.spend(run, known, tokens)
        elif exceeded:
            recorder.count_exceeded(known.name)
        if not recorder.dirty:
            recorder.touch()

    def _record_new_tokens(self, persona: str, chatmode: str, model: str, tokens: int) -> None:
        amount = whole_tokens(tokens)
        known = self.catalogue.resolve(persona)
        if not isinstance(chatmode, str) or not isinstance(model, str):
            wrong = "chatmode" if not isinstance(chatmode, str) else "model"
            raise TypeError(f"{wrong} must be a string, not {(chatmode if wrong == 'chatmode' else model)!r:.60}")
        guard = self._core.guard
        mode, name = guard.resolve("chatmode", chatmode), guard.resolve("model", model)
        counter = self.recorder.counter(TOKENS.key, known.name, mode, name)
        if OTHER not in (mode, name):  # Don't cache overflow values; they are unbounded.
            self.recorder.token_cells[persona, chatmode, model] = (counter, known)
        with self.recorder.lock:
            counter.value += amount
        self.recorder.spend(self.recorder.run_of(RUN.get()), known, amount)
        self.recorder.touch()

    def get_remaining_budget(self, persona: str) -> int:
        """Tokens left to this persona in its current window (in this run, for window `run`); negative if overspent."""
        known = self.catalogue.resolve(persona)
        if known.window != "run":
            return known.tokens - self._core.used_in_window(known)
        run = self.recorder.run_of(RUN.get())
        account = run.accounts.get(known.name)
        return account.remaining if account is not None else known.tokens_in(run.workflow)

    def require_budget(self, persona: str) -> None:
        """Check the budget before an LLM call: raises TokenBudgetExceeded if the budget blocks and nothing is left.

        HYPERTOOL_DISABLED=1 blocks nothing.
        """
        known = self.catalogue.resolve(persona)
        if known.on_exceed == "block" and not disabled():
            remaining = self.get_remaining_budget(known.name)
            if remaining <= 0:
                raise TokenBudgetExceeded(
                    known.name, known.tokens_in(self.recorder.run_of(RUN.get()).workflow), remaining
                )

    def reset_budget(self, persona: str) -> None:
        """Refill the persona's budget: in every run of this process, and on the whole host for windows hour and day."""
        known = self.catalogue.resolve(persona)
        self._core.reset(known)
        self.publish_soon()

    # Stages and gates

    def record_workflow_stage(
        self, workflow: str, stage: str, persona: str, duration_seconds: float, quality_gate_passed: bool
    ) -> None:
        """Record a finished stage (seconds; labels workflow, stage, persona) and its gate (result pass or fail)."""
        seconds = duration(duration_seconds)
        if quality_gate_passed.__class__ is not bool:
            raise TypeError(f"quality_gate_passed must be True or False, not {quality_gate_passed!r:.60}")
        cells = self._stage_cells(workflow, stage, persona)
        recorder = self.recorder
        exemplar = recorder.exemplar(seconds)
        with recorder.lock:
            cells.histogram.observe(seconds, exemplar)
            (cells.passed if quality_gate_passed else cells.failed).value += 1
            recorder.dirty = True
        self.publish_soon()

    def track_stage(
        self,
        workflow: str,
        stage: str,
        persona: str,
        auto_quality_gate: bool = True,
        *,
        chatmode: str | None = None,
        switches: bool = True,
    ) -> StageTracker:
        """Time a stage, with `with` or `async with`; yields a handle with `set_quality_gate(passed, reason=None)`.

        With `auto_quality_gate=False` no gate is recorded unless it is set. Entering the stage switches to its
        persona, unless `switches` is False.
        """
        cells = self._stage_cells(workflow, stage, persona)
        mode = self._stage_chatmode(cells, chatmode)
        return StageTracker(self._core, cells, auto_quality_gate, mode, switches)

    def _stage_cells(self, workflow: str, stage: str, persona: str) -> StageCells:
        recorder = self._core.recorder
        try:
            found = recorder.stage_cells.get((workflow, stage, persona))
        except TypeError:  # Unhashable; the checks below raise the clear error.
            found = None
        if found is not None:
            return found
        who = self.catalogue.resolve(persona).name
        if not isinstance(workflow, str) or not isinstance(stage, str):
            raise TypeError(f"workflow and stage must be strings, not {workflow!r:.60} and {stage!r:.60}")
        guard = self._core.guard
        flow, step = guard.resolve("workflow", workflow), guard.resolve("stage", stage)
        found = StageCells(
            flow,
            step,
            who,
            guard.resolve("chatmode", declared_chatmode(workflow, stage, self.catalogue.workflows) or "default"),
            recorder.histogram(STAGE_DURATION.key, flow, step, who),
            recorder.counter(QUALITY_GATE.key, flow, step, "pass"),
            recorder.counter(QUALITY_GATE.key, flow, step, "fail"),
        )
        if OTHER not in (flow, step):
            recorder.stage_cells[workflow, stage, persona] = found
        return found

    def _stage_chatmode(self, cells: StageCells, given: str | None) -> str:
        core = self._core
        implicit = core.recorder.implicit
        run = RUN.get()
        if run is None or run.owner is not core.recorder.epoch:
            run = implicit
        mode = given or run.default_chatmode or CHATMODE.get()
        if mode is not None:
            return core.guard.resolve("chatmode", mode)
        session = run.session
        if session is None or not session.explicit:
            session = implicit.session
        return session.chatmode if session is not None and session.explicit else cells.chatmode

    # Runs

    def open_run(self, workflow: str, chatmode: str | None = None) -> Run:
        """Start a workflow run, with full budgets of window `run` and the persona `none`."""
        return self.recorder.open_run(workflow, chatmode)

    def close_run(self, run: Run) -> None:
        """End the run: close its last session and publish at once."""
        self.recorder.end_session(run)
        self.recorder.close_run(run)
        self.flush()

    # Sinks

    def register_sink(self, sink: str) -> None:
        """Create the export series of a configured sink, at 0."""
        for outcome in EXPORT_OUTCOMES:
            self.recorder.counter(EXPORT_SPANS.key, sink, outcome)
        self.recorder.set_latest(0, EXPORT_LAST_SUCCESS.key, sink)

    def follow_sink(self, sink: str, submitted: Callable[[], int]) -> None:
        """Set where to read how many spans a sink got; those unresolved when the process is killed count as dropped."""
        self.recorder.submitted[sink] = submitted

    def count_export(self, sink: str, outcome: str, spans: int) -> None:
        """Count spans of a sink by outcome: success, failure or dropped."""
        if outcome not in EXPORT_OUTCOMES:
            raise ValueError(f"unknown export outcome {outcome!r:.60}; expected one of {', '.join(EXPORT_OUTCOMES)}")
        self.recorder.add(spans, EXPORT_SPANS.key, sink, outcome)

    def count_scores(self, sink: str) -> Callable[[str, int], None]:
        """A function that counts the scores of a sink by outcome; creates their series, at 0."""
        for outcome in EXPORT_OUTCOMES:
            self.recorder.counter(EXPORT_SCORES.key, sink, outcome)
        return lambda outcome, scores: self.recorder.add(scores, EXPORT_SCORES.key, sink, outcome)

    def export_succeeded(self, sink: str) -> None:
        """Record that a sink has just delivered something."""
        self.recorder.set_latest(int(self.recorder.clock.time() * 1e6), EXPORT_LAST_SUCCESS.key, sink)

    # Publishing

    def publish_soon(self) -> None:
        """Publish now, or within 20 ms in a burst."""
        self._core.publish_soon()

    def flush(self) -> bool:
        """Publish everything recorded so far, now. False if the store refused it (logged once, retried)."""
        publisher = self._core.publisher
        return publisher.publish() if publisher is not None else True


_process_collector: PersonaMetricsCollector | None = None


def get_persona_metrics() -> PersonaMetricsCollector:
    """The one collector of this process, whose numbers the host's endpoint serves; always the same object."""
    global _process_collector
    if _process_collector is None:
        with loading:
            if _process_collector is None:
                _process_collector = PersonaMetricsCollector()
    return _process_collector
