"""`hypertool workflow list` and `show`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ..domain.personas import Catalogue, load_catalogue
from ..domain.workflows import Workflow
from ..errors import ConfigError
from .output import UsageProblem, print_json, print_table


def find_workflow(name: str, catalogue: Catalogue) -> Workflow:
    """The declared workflow of that name, or that of a prompt file.

    Raises UsageProblem for an unknown name, ConfigError for a prompt file with a problem.
    """
    known = catalogue.workflows.get(name)
    if known is not None:
        return known
    if os.sep not in name and not name.endswith(".md"):
        raise UsageProblem(
            f"unknown workflow {name!r:.80}; declared are {', '.join(sorted(catalogue.workflows))}; "
            f"or name a prompt file"
        )
    from ..domain.front_matter import check_prompt, read_prompt

    found, findings = check_prompt(read_prompt(Path(name)), catalogue)
    if found is None:
        raise ConfigError(f"{findings[0]} (`hypertool workflow lint {name}` shows all {len(findings)})")
    return found


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
    workflow = find_workflow(arguments.name, catalogue)
    budgets = {stage.persona: catalogue.resolve(stage.persona) for stage in workflow.stages}
    limits = {name: persona.tokens_in(workflow.name) for name, persona in budgets.items()}
    if arguments.json:
        windows = {name: {"tokens": limits[name], "window": budgets[name].window} for name in budgets}
        print_json({**as_json(workflow), "budgets": windows})
        return 0
    print(f"{workflow.name}: {workflow.description}" if workflow.description else workflow.name)
    print(f"declared in  {workflow.where or workflow.source}")
    print(f"budget       {_budget(workflow)}")
    retries = f", up to {workflow.retries} times" if workflow.on_fail == "retry" else ""
    print(f"on_fail      {workflow.on_fail}{retries}")
    print(f"agent        {workflow.agent or '-'}\n")
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
