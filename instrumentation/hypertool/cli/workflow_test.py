"""`hypertool workflow test`: what a prompt file's commands would measure, without its tools and without an LLM."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from ..domain.personas import load_catalogue
from ..errors import ConfigError
from ..runtime.light_typing import TYPE_CHECKING, Any
from .output import UsageProblem, print_json, print_table, say

if TYPE_CHECKING:
    from ..workflow.trial import Trial


def test(arguments: argparse.Namespace) -> int:
    """Exit code 0 if everything that is declared was measured, else 1."""
    from ..domain.front_matter import check_prompt, read_prompt
    from ..workflow.trial import try_out

    exits = dict(_exits(text) for text in arguments.exit)
    catalogue = load_catalogue()
    prompt = read_prompt(Path(arguments.file))
    workflow, findings = check_prompt(prompt, catalogue)
    if workflow is None:
        raise ConfigError(f"{findings[0]} (`hypertool workflow lint {arguments.file}` shows all {len(findings)})")
    trial = try_out(prompt, workflow, catalogue, exits, arguments.seconds)
    if arguments.json:
        print_json(_document(arguments.file, workflow.name, trial))
    else:
        _print(arguments.file, workflow.name, trial)
    return 1 if trial.problems else 0


def _exits(text: str) -> tuple[str, tuple[int, ...]]:
    tool, _, codes = text.rpartition("=")
    try:
        found = tuple(int(code) for code in codes.split(","))
    except ValueError:
        found = ()
    if not tool or "/" in tool.removeprefix("./") or not found or not all(0 <= code <= 255 for code in found):
        raise UsageProblem(f"--exit {text!r:.80}: expected TOOL=CODE[,CODE...], such as make=1,0, with codes up to 255")
    return tool, found


def _rows(counted: Mapping[tuple[str, str, str], int]) -> list[tuple[object, ...]]:
    return [(*key, count) for key, count in sorted(counted.items()) if count]


def _document(file: str, workflow: str, trial: Trial) -> dict[str, Any]:
    counted = trial.counted
    return {
        "file": file,
        "workflow": workflow,
        "blocks": [block._asdict() for block in trial.blocks],
        "switches": _rows(counted.switches),
        "stages": _rows(counted.stages),
        "gates": _rows(counted.gates),
        "tokens": _rows(counted.tokens),
        "calls": trial.calls,
        "problems": list(trial.problems),
    }


def _print(file: str, workflow: str, trial: Trial) -> None:
    say(f"{file}: {len(trial.blocks)} blocks of commands were run for {workflow}, with stub tools and a scripted agent")
    for title, head, rows in (
        ("switches", ("from", "to", "chatmode", "count"), _rows(trial.counted.switches)),
        ("stages", ("workflow", "stage", "persona", "count"), _rows(trial.counted.stages)),
        ("gates", ("workflow", "stage", "result", "count"), _rows(trial.counted.gates)),
        ("tokens", ("persona", "chatmode", "model", "tokens"), _rows(trial.counted.tokens)),
    ):
        say(f"\n{title}:")
        print_table(head, rows)
    called = ", ".join(f"{name} {count}" for name, count in trial.calls.items())
    say(f"\nstubs called: {called or 'none'}")
    for block in trial.blocks:
        if block.code != 0 and block.output:
            say(f"last output of the commands at line {block.line}:\n{block.output}")
    for problem in trial.problems:
        say(f"{file}: {problem}")
    if not trial.problems:
        say("everything that is declared is measured")
