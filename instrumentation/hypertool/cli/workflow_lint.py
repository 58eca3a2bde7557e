"""`hypertool workflow lint` and `schema`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..domain.personas import Catalogue, check_files, config_files, finding_of, prompt_paths
from ..domain.prompt_folders import prompt_files
from ..errors import ConfigError
from ..runtime.light_typing import TYPE_CHECKING
from .output import print_json, say

if TYPE_CHECKING:
    from ..domain.fields import Problem
    from ..domain.front_matter import PromptFile
    from ..domain.workflow_files import Finding
    from ..domain.workflows import Workflow


def lint(arguments: argparse.Namespace) -> int:
    """Check configuration and prompt files; exit code 1 if there is a problem."""
    named = [Path(name) for name in arguments.files]
    prompts = [path for path in named if path.suffix != ".toml"]
    configuration = [path for path in named if path.suffix == ".toml"]
    try:
        beside = [path for one in configuration for path in prompt_files(one)] if configuration else prompt_paths()
    except ConfigError as error:
        beside, problems = [], [finding_of(error, "")]
    else:
        problems = []
    configuration = configuration or config_files()
    catalogue, findings = check_files(configuration, beside)
    findings += problems
    for workflow in catalogue.workflows.values():
        findings += command_findings(workflow)
    for path in prompts:
        findings += lint_prompt(path, catalogue)
    checked = [str(path) for path in (*configuration, *beside, *prompts)]
    if arguments.json:
        print_json({"checked": checked, "problems": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            say(f"{finding.file}:{finding.line}: {finding.reason}; {finding.remedy}")
        if not findings:
            say(f"no problem in {', '.join(checked) if checked else 'the defaults (no configuration file is there)'}")
    return 1 if findings else 0


def lint_prompt(path: Path, catalogue: Catalogue) -> list[Finding]:
    """Every problem of one prompt file."""
    from ..domain.front_matter import check_prompt, read_prompt

    try:
        workflow, findings = check_prompt(read_prompt(path), catalogue)
    except ConfigError as error:
        return [finding_of(error, str(path))]
    return findings + (command_findings(workflow) if workflow is not None else [])


def command_findings(workflow: Workflow) -> list[Finding]:
    """What is wrong with the commands that a file declares."""
    from ..workflow.command_lint import command_problems

    problems = list(command_problems(workflow)) if workflow.source != "package" else []
    if not problems:
        return []
    from ..domain.workflow_files import at

    if workflow.source.endswith(".toml"):
        from ..domain.toml_files import TomlFile

        table, line = ("workflows", workflow.name), TomlFile(Path(workflow.source)).line
        return [at(found, workflow.source, lambda path: line((*table, *path))) for found in problems]
    from ..domain.front_matter import read_prompt

    prompt = read_prompt(Path(workflow.source))
    return [at(_in_gates(found, workflow, prompt), workflow.source, prompt.line) for found in problems]


def _in_gates(found: Problem, workflow: Workflow, prompt: PromptFile) -> Problem:
    """The problem where the file has the gate, which may be in `quality_gates`."""
    gates = prompt.values.get("quality_gates")
    if found.path[-1] == "gate" and isinstance(gates, dict):
        stage = workflow.stages[int(found.path[1])].name
        if stage in gates:
            return found._replace(path=("quality_gates", stage))
    return found


def schema(arguments: argparse.Namespace) -> int:
    """Print the path of the schema's file, or with --json the schema."""
    from ..domain.schemas import CONFIGURATION, FRONT_MATTER

    path = FRONT_MATTER if arguments.front_matter else CONFIGURATION
    say(path.read_text(encoding="utf-8").rstrip() if arguments.json else str(path))
    return 0
