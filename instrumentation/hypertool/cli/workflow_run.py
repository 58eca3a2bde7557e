"""`hypertool workflow run`: runs a workflow with its agents and gates, and shows how it goes."""

from __future__ import annotations

import argparse
import os
import sys

from ..domain.personas import Catalogue, load_catalogue
from ..domain.workflows import Stage, Workflow
from ..errors import HypertoolError
from ..runtime.workspace import find_workspace
from ..store.progress import Progress, ProgressFile
from ..workflow.agent_commands import agent_command, agent_of, alive, values_for
from ..workflow.declared import UnknownWorkflow, find_workflow, prompt_body
from ..workflow.progress import begin, origin
from ..workflow.running import Attempt, Report, Runner, Watcher
from .output import UsageProblem, complain, listen, print_json, print_table, say

PROGRAM = "hypertool workflow run"


class Printed(Watcher):
    """Prints each event as a line on stderr, between the output of the commands."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow

    def stage_begins(self, stage: Stage, attempt: int, left: int | None) -> None:
        place = self._workflow.stages.index(stage) + 1
        again = f", attempt {attempt}" if attempt > 1 else ""
        self.said(
            f"stage {place} of {len(self._workflow.stages)}: {stage.name}{again}: {stage.persona}, {stage.chatmode}, "
            f"{stage.tokens or 'no'} tokens planned, {left} left"
        )

    def stage_ended(self, attempt: Attempt, used: int) -> None:
        verdict = "gate passed" if attempt.passed else f"gate failed ({attempt.reason})"
        budget = self._workflow.token_budget
        self.said(
            f"{attempt.stage}: {verdict} in {attempt.seconds:.1f} s, {attempt.tokens} tokens; "
            f"run {used}{f' of {budget}' if budget is not None else ''} tokens"
        )

    def said(self, text: str) -> None:
        complain(PROGRAM, text)


def run(arguments: argparse.Namespace) -> int:
    """Run or resume a workflow; exit code 1 if a gate failed or a budget blocks, 128 and the signal if interrupted."""
    if arguments.resume and (arguments.start is not None):
        raise UsageProblem("--resume continues where the run ended, and --from begins elsewhere; give one of them")
    catalogue = load_catalogue()
    file = ProgressFile(find_workspace())
    saved = file.read() if arguments.resume else None
    workflow = _workflow(arguments, catalogue, saved)
    body = prompt_body(workflow)
    progress = saved or begin(workflow, _run_id(), _skipped(workflow, arguments.start))
    agent = arguments.agent or (progress.agent or None)
    _require_commands(workflow, agent)
    if arguments.dry_run:
        return _plan(arguments, workflow, progress, agent, body)
    heard = listen()
    with file.held() as free:
        if not free:
            raise HypertoolError(f"another run is in progress in {file.workspace}; wait for its end, or interrupt it")
        progress = _resumed(file, workflow) if arguments.resume else progress
        replaced = None if arguments.resume else _unfinished(file)
        if replaced is not None:
            complain(PROGRAM, f"the unfinished run of {replaced} cannot be resumed any more; this is a new one")
        output = sys.stderr.fileno() if arguments.json else None
        runner = Runner(
            workflow,
            catalogue,
            file,
            progress._replace(agent=agent or ""),
            agent=agent,
            body=body,
            output=output,
            watcher=Printed(workflow),
        )
        report = runner.run()
    _print(arguments, report)
    for line in heard:
        complain(PROGRAM, line)
    return report.code


def _run_id() -> str:
    return os.urandom(16).hex()


def _workflow(arguments: argparse.Namespace, catalogue: Catalogue, saved: Progress | None) -> Workflow:
    name = arguments.name
    if arguments.resume:
        if saved is None:
            raise UsageProblem("no run to resume in this workspace; start one with `hypertool workflow run NAME`")
        name = name or origin(saved)
    if name is None:
        raise UsageProblem("no workflow given; see `hypertool workflow run --help`")
    try:
        workflow = find_workflow(name, catalogue)
    except UnknownWorkflow as error:
        raise UsageProblem(str(error)) from None
    if saved is not None and saved.ended:
        raise UsageProblem(f"the last run of {saved.workflow} has ended; start a new one without --resume")
    if saved is not None and saved.workflow != workflow.name:
        raise UsageProblem(f"the run to resume is one of {saved.workflow}, not of {workflow.name}")
    return workflow


def _resumed(file: ProgressFile, workflow: Workflow) -> Progress:
    """What was saved, read again under the lock, with exactly the stages that are declared now."""
    saved = file.read()
    if saved is None:
        raise HypertoolError("the run to resume is gone; start it anew")
    for stage in saved.stages:
        if alive(stage.process) and stage.process is not None:
            raise HypertoolError(
                f"the command of the interrupted stage {stage.name} still runs (process {stage.process[0]}); "
                f"wait for its end, or end it with `kill {stage.process[0]}`, and resume again"
            )
    fresh = begin(workflow, saved.run_id).stages
    return saved._replace(stages=tuple(saved.stage(stage.name) or stage for stage in fresh))


def _unfinished(file: ProgressFile) -> str | None:
    """The workflow whose unfinished run a new one replaces."""
    try:
        saved = file.read()
    except HypertoolError:
        return None
    return saved.workflow if saved is not None and not saved.ended else None


def _skipped(workflow: Workflow, start: str | None) -> tuple[str, ...]:
    if start is None:
        return ()
    names = [stage.name for stage in workflow.stages]
    if start not in names:
        raise UsageProblem(
            f"--from {start!r:.80}: {workflow.name} has no such stage; expected one of {', '.join(names)}"
        )
    return tuple(names[: names.index(start)])


def _require_commands(workflow: Workflow, agent: str | None) -> None:
    for stage in workflow.stages:
        if agent_of(workflow, stage, agent) is None and stage.gate is None:
            raise UsageProblem(
                f"the stage {stage.name} of {workflow.name} has neither an agent nor a gate; give --agent, such as "
                "--agent 'claude -p {prompt}', or declare them"
            )
        line = agent_of(workflow, stage, agent)
        if line is not None:
            agent_command(line, values_for(workflow, stage, "", ""))


def _plan(arguments: argparse.Namespace, workflow: Workflow, progress: Progress, agent: str | None, body: str) -> int:
    """Print what would be run."""
    stages = []
    for stage in workflow.stages:
        line = agent_of(workflow, stage, agent)
        known = progress.stage(stage.name)
        stages.append(
            {
                "stage": stage.name,
                "persona": stage.persona,
                "chatmode": stage.chatmode,
                "tokens": stage.tokens,
                "runs": known is None or known.state not in ("passed", "skipped"),
                "agent": agent_command(line, values_for(workflow, stage, progress.run_id, body)) if line else None,
                "gate": stage.gate,
            }
        )
    if arguments.json:
        print_json({"workflow": workflow.name, "dry_run": True, "stages": stages})
        return 0
    say(f"{workflow.name}: nothing is run (--dry-run)")
    for one in stages:
        say(f"\n{one['stage']}: {one['persona']}, {one['chatmode']}{'' if one['runs'] else ' (not run again)'}")
        words = one["agent"]
        if isinstance(words, list):
            import shlex

            say(f"  agent  {shlex.join(words)}")
        say(f"  gate   {one['gate'] or '-'}")
    return 0


def _print(arguments: argparse.Namespace, report: Report) -> None:
    if arguments.json:
        attempts = [attempt._asdict() for attempt in report.attempts]
        print_json({**report._asdict(), "attempts": attempts, "tokens": report.tokens})
        return
    trace = f", trace {report.trace_id}" if report.trace_id else ""
    say(
        f"\n{report.workflow}: {report.decision.replace('_', ' ')} in {report.seconds:.1f} s, {report.tokens} tokens, "
        f"run {report.run_id}{trace}"
    )
    print_table(
        ("stage", "persona", "attempt", "gate", "seconds", "tokens"),
        [
            (a.stage, a.persona, a.attempt, "pass" if a.passed else f"fail: {a.reason}", round(a.seconds, 1), a.tokens)
            for a in report.attempts
        ],
    )
    if report.decision != "passed":
        say("continue it with `hypertool workflow run --resume`")
