"""Finds a declared workflow by its name, or in a prompt file."""

from __future__ import annotations

import os
from pathlib import Path

from ..domain.personas import Catalogue
from ..domain.workflows import Workflow
from ..errors import ConfigError


class UnknownWorkflow(ConfigError):
    """No workflow is declared under that name; the text names those that are."""


def is_prompt_file(name: str) -> bool:
    """Whether the name means a prompt file and not a declared workflow."""
    return os.sep in name or name.endswith(".md")


def from_prompt_file(source: str) -> bool:
    """Whether a workflow's source is a prompt file, and not the package or a configuration file."""
    return is_prompt_file(source) and not source.endswith(".toml")


def find_workflow(name: str, catalogue: Catalogue) -> Workflow:
    """The declared workflow of that name, or that of a prompt file.

    Raises UnknownWorkflow for an unknown name, ConfigError for a prompt file with a problem.
    """
    known = catalogue.workflows.get(name)
    if known is not None:
        return known
    if not is_prompt_file(name):
        raise UnknownWorkflow(
            f"unknown workflow {name!r:.80}; declared are {', '.join(sorted(catalogue.workflows))}; "
            f"or name a prompt file"
        )
    from ..domain.front_matter import check_prompt, read_prompt

    found, findings = check_prompt(read_prompt(Path(name)), catalogue)
    if found is None:
        raise ConfigError(f"{findings[0]} (`hypertool workflow lint {name}` shows all {len(findings)})")
    return found


def prompt_body(workflow: Workflow) -> str:
    """The text below the front matter, where a prompt file declares the workflow; else empty."""
    if not from_prompt_file(workflow.source):
        return ""
    from ..domain.front_matter import read_prompt

    return read_prompt(Path(workflow.source)).body
