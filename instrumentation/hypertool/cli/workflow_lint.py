"""`hypertool workflow lint` and `schema`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain.personas import Catalogue, check_files, config_files, finding_of, prompt_paths
from ..domain.prompt_folders import prompt_files
from ..errors import ConfigError
from .output import print_json

if TYPE_CHECKING:
    from ..domain.workflow_files import Finding


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
    for path in prompts:
        findings += lint_prompt(path, catalogue)
    checked = [str(path) for path in (*configuration, *beside, *prompts)]
    if arguments.json:
        print_json({"checked": checked, "problems": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.file}:{finding.line}: {finding.reason}; {finding.remedy}")
        if not findings:
            print(f"no problem in {', '.join(checked) if checked else 'the defaults (no configuration file is there)'}")
    return 1 if findings else 0


def lint_prompt(path: Path, catalogue: Catalogue) -> list[Finding]:
    """Every problem of one prompt file."""
    from ..domain.front_matter import check_prompt, read_prompt

    try:
        return check_prompt(read_prompt(path), catalogue).findings
    except ConfigError as error:
        return [finding_of(error, str(path))]


def schema(arguments: argparse.Namespace) -> int:
    """Print the path of the schema's file, or with --json the schema."""
    from ..domain.schemas import CONFIGURATION, FRONT_MATTER

    path = FRONT_MATTER if arguments.front_matter else CONFIGURATION
    print(path.read_text(encoding="utf-8").rstrip() if arguments.json else path)
    return 0
