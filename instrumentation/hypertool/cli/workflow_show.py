"""`hypertool workflow list`, `show` and `next`."""

from __future__ import annotations

import argparse
import shlex

from ..domain.personas import Catalogue, load_catalogue
from ..domain.workflows import Workflow
from ..runtime.light_typing import TYPE_CHECKING, Any
from ..workflow.declared import UnknownWorkflow, find_workflow
from .output import UsageProblem, print_json, print_table, say

if TYPE_CHECKING:
    from ..workflow.progress import Next


def named(name: str, catalogue: Catalogue) -> Workflow:
    """The declared workflow of that name, or that of a prompt file. Raises UsageProblem for an unknown name."""
    try:
        return find_workflow(name, catalogue)
    except UnknownWorkflow as error:
        raise UsageProblem(str(error)) from None


def as_json(workflow: Workflow) -> dict[str, Any]:
    """A workflow as JSON."""
    return {
        **workflow._asdict(),
        "stages": [stage._asdict() for stage in workflow.stages],
        "tokens": workflow.tokens,
    }


def list_workflows(arguments: argparse.Namespace) -> int:
    """`hypertool workflow list`."""
    workflows = load_catalogue().workflows
    if arguments.json:
        print_json({"workflows": [as_json(workflow) for _, workflow in sorted(workflows.items())]})
        return 0
    print_table(
        ("workflow", "stages", "tokens", "budget", "on_fail", "declared in"),
        [
            (
                w.name,
                len(w.stages),
                w.tokens,
                w.token_budget if w.token_budget is not None else "-",
                w.on_fail,
                w.source,
            )
            for _, w in sorted(workflows.items())
        ],
    )
    return 0


def show(arguments: argparse.Namespace) -> int:
    """`hypertool workflow show`."""
    catalogue = load_catalogue()
    workflow = named(arguments.name, catalogue)
    budgets = {stage.persona: catalogue.resolve(stage.persona) for stage in workflow.stages}
    limits = {name: persona.tokens_in(workflow.name) for name, persona in budgets.items()}
    if arguments.json:
        windows = {name: {"tokens": limits[name], "window": budgets[name].window} for name in budgets}
        print_json({**as_json(workflow), "budgets": windows})
        return 0
    say(f"{workflow.name}: {workflow.description}" if workflow.description else workflow.name)
    say(f"declared in  {workflow.where or workflow.source}")
    say(f"budget       {_budget(workflow)}")
    retries = f", up to {workflow.retries} times" if workflow.on_fail == "retry" else ""
    say(f"on_fail      {workflow.on_fail}{retries}")
    say(f"agent        {workflow.agent or '-'}\n")
    print_table(
        ("stage", "persona", "chatmode", "tokens", "of", "gate"),
        [(s.name, s.persona, s.chatmode, s.tokens, limits[s.persona], _short(s.gate)) for s in workflow.stages],
    )
    return 0


def _budget(workflow: Workflow) -> str:
    planned = f"{workflow.tokens} tokens planned"
    if workflow.token_budget is None:
        return f"{planned}; each persona's own budget holds"
    return f"{workflow.token_budget} tokens a run ({workflow.on_exceed}), {planned}"


def _short(text: str | None) -> str:
    line = " ".join((text or "-").split())
    return line if len(line) <= 50 else line[:47] + "..."


def next_as_json(found: Next | None) -> dict[str, Any]:
    """What comes next as JSON; `workflow` is null where none was started."""
    if found is None:
        return {"workflow": None, "stage": None}
    return {**found._asdict(), "stage": found.stage._asdict() if found.stage is not None else None}


def following(arguments: argparse.Namespace) -> int:
    """`hypertool workflow next`; exit code 0 also where no workflow was started."""
    from ..workflow.progress import next_stage

    try:
        found = next_stage(workflow=arguments.name)
    except UnknownWorkflow as error:
        raise UsageProblem(str(error)) from None
    if arguments.json:
        print_json(next_as_json(found))
        return 0
    if found is None:
        say("none: no workflow was started in this workspace; `hypertool workflow next NAME` shows a first stage")
        return 0
    if found.stage is None:
        say(f"{found.workflow}: done, {found.passed} of {found.total} stages passed")
        return 0
    stage = found.stage
    again = {"running": ", it was interrupted or is running", "failed": ", its gate failed"}.get(found.state, "")
    say(f"{found.workflow}: {stage.name} ({found.passed} of {found.total} stages passed{again})")
    say(f"persona   {stage.persona}")
    say(f"chatmode  {stage.chatmode}")
    say(f"tokens    {stage.tokens or '-'}")
    say(f"gate      {stage.gate or '-'}")
    say(f"begin     tta-persona switch {stage.persona} --chatmode {stage.chatmode}")
    if stage.gate:
        say(
            f"finish    hypertool gate --workflow {found.workflow} --stage {stage.name} --persona {stage.persona} -- "
            f"sh -c {shlex.quote(stage.gate)}"
        )
    return 0
