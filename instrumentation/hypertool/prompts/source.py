"""The prompt workflows: a declared workflow with the text that agents get at each stage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..domain.personas import Catalogue
from ..domain.toml_files import TomlFile
from ..domain.workflows import Stage, Workflow
from ..errors import ConfigError

SOURCES = Path(__file__).with_name("sources")
VERSION = "1.0.0"


class Prompt(NamedTuple):
    """A workflow and its texts. `plan_folder` has the file of the original plan, for the package's own workflows."""

    workflow: Workflow
    title: str
    description: str
    version: str
    token_budget: int
    plan_folder: str | None = None

    @property
    def kind(self) -> str:
        """The workflow's type, and the name of its files: `bug-fix`."""
        return re.sub(r"[^a-z0-9]+", "-", self.workflow.name.lower())

    @property
    def stem(self) -> str:
        """The name of its files without their ending, and of its command: `bug-fix-hypertool`."""
        return f"{self.kind}-hypertool"

    @property
    def personas(self) -> list[str]:
        """Each persona once, in the order of the stages."""
        return list(dict.fromkeys(stage.persona for stage in self.workflow.stages))


def prompts(catalogue: Catalogue) -> list[Prompt]:
    """The package's prompt workflows, as the configuration has changed them, then those that it adds.

    Raises ConfigError where two would have the same files.
    """
    sources = {path.stem: TomlFile(path).document for path in sorted(SOURCES.glob("*.toml"))}
    found = []
    for workflow in catalogue.workflows.values():
        if workflow.name in sources or workflow.source != "package":
            found.append(_prompt(workflow, sources.get(workflow.name, {}), catalogue))
    taken: dict[str, str] = {}
    for prompt in found:
        other = taken.setdefault(prompt.stem, prompt.workflow.name)
        if other != prompt.workflow.name:
            raise ConfigError(
                f"{prompt.workflow.where}: the workflows {other!r} and {prompt.workflow.name!r} would have the same "
                f"files, {prompt.stem}; rename one of them"
            )
    return found


def _prompt(workflow: Workflow, source: Mapping[str, Any], catalogue: Catalogue) -> Prompt:
    texts = source.get("stages", {})
    filled = workflow._replace(stages=tuple(_filled(stage, texts.get(stage.name, {})) for stage in workflow.stages))
    title = source.get("title") or workflow.name.replace("_", " ").replace("-", " ").capitalize()
    named = ", ".join(stage.name for stage in workflow.stages)
    prompt = Prompt(
        filled,
        title,
        workflow.description or source.get("description") or f"{title}, in measured stages: {named}.",
        source.get("version", VERSION),
        0,
        source.get("plan_folder"),
    )
    personas = sum(catalogue.resolve(name).tokens_in(workflow.name) for name in prompt.personas)
    return prompt._replace(token_budget=workflow.token_budget or personas)


def _filled(stage: Stage, text: Mapping[str, str]) -> Stage:
    """The stage with the source's text and gate where the workflow declares none."""
    return stage._replace(gate=stage.gate or text.get("gate"), prompt=stage.prompt or text.get("prompt"))
