"""Runs a declared workflow: an agent command and a gate for each stage, measured, and resumable after a crash."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..agents.ledger.attribution import Attribution
from ..agents.running import counting, environment_for, take_in
from ..domain.personas import Catalogue
from ..domain.workflows import Stage, Workflow
from ..errors import HypertoolError
from ..metrics.collector import get_persona_metrics
from ..runtime.logs import log
from ..runtime.settings import RUN_ID, disabled
from ..runtime.workspace import workspace_name
from ..spans import span as spans
from ..store.progress import Progress, ProgressFile, StageProgress
from .agent_commands import StageTokens, agent_command, agent_of, gate_command, start_time, values_for
from .command import FORWARDED, Ended, hold_signals, run_command
from .stage import Stage as MeasuredStage
from .tracer import WorkflowTracer

PROGRAM = "hypertool workflow run"
LONGEST_PAUSE = 3600.0


class Attempt(NamedTuple):
    """One try of a stage: its gate, seconds, tokens, and why it failed (empty where it passed)."""

    stage: str
    persona: str
    chatmode: str
    attempt: int
    passed: bool
    seconds: float
    tokens: int
    reason: str
    code: int
    interrupted: bool = False


class Report(NamedTuple):
    """The result of a run: `decision` is `passed`, `failed`, `interrupted` or `over_budget`, `code` the exit code."""

    workflow: str
    run_id: str
    trace_id: str | None
    decision: str
    attempts: tuple[Attempt, ...]
    seconds: float
    code: int

    @property
    def tokens(self) -> int:
        """Tokens of this process's attempts."""
        return sum(attempt.tokens for attempt in self.attempts)


class Watcher:
    """What a run tells while it goes on; the command line prints it."""

    def stage_begins(self, stage: Stage, attempt: int, left: int | None) -> None:
        """A stage begins; `left` are the tokens left to its persona."""

    def stage_ended(self, attempt: Attempt, used: int) -> None:
        """A stage ended; `used` are the tokens of the whole run so far."""

    def said(self, text: str) -> None:
        """Something else happened."""


class Runner:
    """One run, new or resumed, in this process. `progress` is what was saved of it."""

    def __init__(
        self,
        workflow: Workflow,
        catalogue: Catalogue,
        file: ProgressFile,
        progress: Progress,
        *,
        agent: str | None = None,
        body: str = "",
        output: int | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._workflow = workflow
        self._catalogue = catalogue
        self._file = file
        self._progress = progress
        self._own: dict[str, int] = {stage.name: stage.tokens for stage in progress.stages}
        self._agent = agent
        self._body = body
        self._output = output
        self._watcher = watcher or Watcher()
        self._attempts: list[Attempt] = []
        self._tracer: WorkflowTracer | None = None

    def run(self) -> Report:
        """Run what is left; the caller holds the progress file. Raises HypertoolError if progress cannot be saved."""
        hold_signals()
        if not disabled():
            get_persona_metrics()
        tracer = WorkflowTracer(self._workflow.name, {"resumed": self._progress.traceparent != ""})
        tracer.parent = spans.remote_parent(
            {"traceparent": self._parent(), "tracestate": os.environ.get("TRACESTATE", "")}
        )
        with tracer:
            self._tracer = tracer
            headers = tracer.trace_headers()
            traceparent = headers.get("traceparent") or self._parent() or _new_traceparent()
            self._save(self._progress._replace(traceparent=self._progress.traceparent or traceparent, ended=0.0))
            decision = self._stages()
        self._save(self._progress._replace(ended=time.time() if decision == "passed" else 0.0))
        code = 0 if decision == "passed" else 1
        if decision == "interrupted":
            code = self._attempts[-1].code if self._attempts and self._attempts[-1].code > 128 else 130
        return Report(
            self._workflow.name,
            self._progress.run_id,
            tracer.trace_id,
            decision,
            tuple(self._attempts),
            tracer.duration_seconds,
            code,
        )

    def _parent(self) -> str:
        return self._progress.traceparent or os.environ.get("TRACEPARENT", "")

    def _stages(self) -> str:
        failed = False
        for stage in self._workflow.stages:
            known = self._progress.stage(stage.name) or StageProgress(stage.name)
            if known.state in ("passed", "skipped"):
                continue
            reason = self._over_budget(stage)
            if reason is not None:
                self._watcher.said(reason)
                return "over_budget"
            attempt = self._with_retries(stage)
            if attempt.interrupted:
                return "interrupted"
            failed = failed or not attempt.passed
            if not attempt.passed and self._workflow.on_fail != "continue":
                return "failed"
        return "failed" if failed else "passed"

    def _over_budget(self, stage: Stage) -> str | None:
        workflow, used = self._workflow, sum(self._own.values())
        if workflow.token_budget is not None and used > workflow.token_budget:
            text = f"{workflow.name} has used {used} of its token_budget of {workflow.token_budget}"
            if workflow.on_exceed == "block":
                return f'{text}; {stage.name} is not started (on_exceed = "block")'
            self._watcher.said(text)
        persona, left = self._catalogue.resolve(stage.persona), self._left(stage)
        if persona.on_exceed == "block" and left is not None and left <= 0:
            return (
                f"the budget of {persona.name} is used up ({left} tokens left); {stage.name} is not started; "
                f"refill it with `hypertool budget --persona {persona.name} --reset`"
            )
        return None

    def _left(self, stage: Stage) -> int | None:
        persona = self._catalogue.resolve(stage.persona)
        if persona.window != "run":
            from ..store.store import Store

            try:
                return Store.locate().read(self._catalogue).budgets[persona.name].remaining
            except HypertoolError as error:
                log.warning("the budget of %s is not known: %s", persona.name, error)
                return None
        mine = {one.name for one in self._workflow.stages if one.persona == stage.persona}
        return persona.tokens_in(self._workflow.name) - sum(self._own.get(name, 0) for name in mine)

    def _with_retries(self, stage: Stage) -> Attempt:
        tries = 1 + (self._workflow.retries if self._workflow.on_fail == "retry" else 0)
        pause = self._workflow.backoff_seconds
        for number in range(tries):
            attempt = self._attempt(stage)
            if attempt.passed or attempt.interrupted or number == tries - 1:
                return attempt
            self._watcher.said(f"{stage.name} failed; trying it again in {pause:g} s ({tries - number - 1} left)")
            signalled = signal.sigtimedwait(FORWARDED, pause)
            if signalled is not None:
                return attempt._replace(interrupted=True, code=128 + signalled.si_signo)
            pause = min(pause * 2, LONGEST_PAUSE)
        raise AssertionError("unreachable")

    def _attempt(self, stage: Stage) -> Attempt:
        known = self._progress.stage(stage.name) or StageProgress(stage.name)
        if known.state == "running" and known.began:
            known = known._replace(tokens=known.tokens + self._used_by_killed(stage, known.began))
            self._own[stage.name] = known.tokens
        self._watcher.stage_begins(stage, known.attempts + 1, self._left(stage))
        started, clock = time.time(), time.monotonic()
        known = known._replace(state="running", attempts=known.attempts + 1, process=None, began=started)
        assert self._tracer is not None
        tokens = self._tokens(stage, started)
        metadata = {"chatmode": stage.chatmode, "attempt": known.attempts}
        with self._tracer.stage_context(stage.name, stage.persona, metadata) as measured:
            if not disabled():
                get_persona_metrics().flush()  # A killed run is in the store from here on: its stage fails once.
            self._save(self._progress.with_stage(known))
            ended, reason = self._commands(stage, measured, started)
            measured.set_quality_gate(ended.passed, reason or None)
            measured.set_attributes({"process.exit.code": ended.code})
        seconds, used = time.monotonic() - clock, self._used(tokens)
        self._own[stage.name] = self._own.get(stage.name, 0) + used
        self._save(
            self._progress.with_stage(
                known._replace(
                    state="passed" if ended.passed else "failed",
                    seconds=known.seconds + seconds,
                    tokens=self._own[stage.name],
                    process=None,
                )
            )
        )
        attempt = Attempt(
            stage.name,
            stage.persona,
            stage.chatmode,
            known.attempts,
            ended.passed,
            seconds,
            used,
            reason,
            ended.code,
            ended.interrupted,
        )
        self._attempts.append(attempt)
        self._watcher.stage_ended(attempt, sum(self._own.values()))
        return attempt

    def _tokens(self, stage: Stage, started: float, killed: bool = False) -> StageTokens | None:
        try:
            return StageTokens(self._workflow.name, stage.persona, stage.chatmode, started, killed)
        except Exception as error:  # Not knowing the tokens must not end the run.
            log.warning("the tokens of a stage are not known: %s", error)
            return None

    @staticmethod
    def _used(tokens: StageTokens | None) -> int:
        try:
            return tokens.used(workspace_name()) if tokens is not None else 0
        except Exception as error:
            log.warning("the tokens of a stage are not known: %s", error)
            return 0

    def _used_by_killed(self, stage: Stage, began: float) -> int:
        """Tokens of the try that was killed; what its agent wrote after that is counted now."""
        tokens = self._tokens(stage, began + 1, killed=True)  # Its own calls alone: no slack for the stage before.
        whose = Attribution(stage.persona, stage.chatmode, self._workflow.name)
        line = agent_of(self._workflow, stage, self._agent)
        if line is None or disabled():
            return 0
        self._take_in(agent_command(line, values_for(self._workflow, stage, "", "")), began, whose, os.environ, True)
        return self._used(tokens)

    @staticmethod
    def _take_in(
        command: list[str], started: float, whose: Attribution, environment: Mapping[str, str], bound: bool = False
    ) -> None:
        try:
            take_in(command, started, whose, environment, bound)
        except Exception as error:
            log.warning("what the agent used is not counted yet, the next hook or the service will: %s", error)

    def _commands(self, stage: Stage, measured: MeasuredStage, started: float) -> tuple[Ended, str]:
        """Run agent and gate; how the last of them ended, and why the stage failed."""
        whose = Attribution(stage.persona, stage.chatmode, self._workflow.name)
        given = {**os.environ, "TRACEPARENT": self._progress.traceparent, RUN_ID.name: self._progress.run_id}
        given.update({name.upper(): value for name, value in measured.trace_headers().items()})
        environment = dict(given) if disabled() else environment_for(given, whose)
        line = agent_of(self._workflow, stage, self._agent)
        ended = Ended(0)
        if line is not None:
            command = agent_command(line, values_for(self._workflow, stage, self._progress.run_id, self._body))
            if disabled():
                ended = run_command(PROGRAM, command, environment, self._output, self._note_process(stage))
            else:
                ended = self._counted(stage, command, started, whose, environment)
            if not ended.passed:
                return ended, _reason("agent", ended)
        if stage.gate is not None:
            ended = run_command(PROGRAM, gate_command(stage), environment, self._output, self._note_process(stage))
        return ended, "" if ended.passed else _reason("gate", ended)

    def _counted(
        self, stage: Stage, command: list[str], started: float, whose: Attribution, environment: Mapping[str, str]
    ) -> Ended:
        note = self._note_process(stage)
        with counting(command, started, whose, environment) as held:

            def begun(process: int) -> None:
                held.begin(process)
                note(process)

            ended = run_command(PROGRAM, command, environment, self._output, begun)
        if held.why:
            log.warning("%.60s was ended. %s", os.path.basename(command[0]), held.why)
        self._take_in(command, started, whose, environment)
        return ended

    def _note_process(self, stage: Stage) -> Callable[[int], None]:
        def note(process: int) -> None:
            begun = start_time(process)
            known = self._progress.stage(stage.name)
            if begun is not None and known is not None:
                self._save(self._progress.with_stage(known._replace(process=(process, begun))))

        return note

    def _save(self, progress: Progress) -> None:
        self._progress = progress
        try:
            self._file.write(progress)
        except HypertoolError as error:
            log.warning("this run cannot be resumed: %s", error)


def _reason(what: str, ended: Ended) -> str:
    return f"{what} {'interrupted, ' if ended.interrupted else ''}exit code {ended.code}"


def _new_traceparent() -> str:
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
