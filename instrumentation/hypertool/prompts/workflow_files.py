"""The text of a prompt workflow, and the front matter that each agent expects above it."""

from __future__ import annotations

from ..domain.workflows import Stage
from .source import Prompt
from .text import Value, after_dashes, block, front_matter

_ON_FAIL = {
    "stop": "Any other exit code stops the workflow: name the stage, show the last lines, do not go on.",
    "retry": "On any other, repair the cause and run the gate again, at most {retries} times; then stop and say so.",
    "continue": "On any other, note the failure for the report and go on.",
}
_SAME_GATE = (
    "- What follows `--` is the gate. If the project has another command for it, use that one; leave no gate out and "
    "weaken none.\n"
)


def plan_file(prompt: Prompt) -> str:
    """The file with every key of ours: what the original plan names, and Cline loads.

    It has no `name`: Cline would take it for the skill of that name, and load that.
    """
    stages = prompt.workflow.stages
    keys: dict[str, Value] = {
        "description": prompt.description,
        "hypertool_enabled": True,
        "workflow_type": prompt.kind,
        "workflow_name": prompt.workflow.name,
        "version": prompt.version,
        "personas": prompt.personas,
        "token_budget": prompt.token_budget,
        "apm_enabled": True,
    }
    gates = {stage.name: stage.gate for stage in stages if stage.gate}
    keys["quality_gates"] = gates if len(gates) == len(stages) else [stage.name for stage in stages]
    return front_matter(keys) + "\n" + body(prompt)


def skill(prompt: Prompt) -> str:
    """A skill (SKILL.md): its name is the folder's."""
    return front_matter({"name": prompt.stem, "description": prompt.description}) + "\n" + body(prompt)


def command(prompt: Prompt) -> str:
    """A command of Auggie's: its name is the file's."""
    keys: dict[str, Value] = {"description": prompt.description, "argument-hint": "[what to do]"}
    return front_matter(keys) + "\n" + body(prompt)


def prompt_file(prompt: Prompt) -> str:
    """A prompt file of VS Code."""
    keys: dict[str, Value] = {"name": prompt.stem, "description": prompt.description, "agent": "agent"}
    return front_matter(keys) + "\n" + body(prompt)


def body(prompt: Prompt) -> str:
    """What the agent is told, the same text for all agents."""
    workflow = prompt.workflow
    count = len(workflow.stages)
    stages = "one stage" if count == 1 else f"{count} stages in this order"
    failed = _ON_FAIL[workflow.on_fail].format(retries=workflow.retries)
    known = all(stage.gate for stage in workflow.stages)
    parts = [
        f"# {prompt.title}\n",
        f"Do {stages}. Each has its persona and ends with a quality gate.\n",
        "- Run the commands below as they are written, in the project's folder. They measure the work.\n"
        f"- A gate passes with exit code 0. {failed}\n"
        + (
            _SAME_GATE
            if known
            else _SAME_GATE.replace("What follows `--`", "`COMMAND` stands for the gate: replace it. It")
        )
        + f"- Budget of the run: {prompt.token_budget} tokens. Read and print only what the stage needs.\n",
    ]
    parts += [_stage(prompt, number, stage) for number, stage in enumerate(workflow.stages, start=1)]
    parts.append(f"## End\n\n{block('tta-persona end')}\nReport each stage in one line: what was done, and its gate.\n")
    return "\n".join(parts)


def _stage(prompt: Prompt, number: int, stage: Stage) -> str:
    planned = f", {stage.tokens} tokens" if stage.tokens else ""
    gate = after_dashes(stage.gate) if stage.gate else "COMMAND"
    text = " ".join((stage.prompt or f"Do the stage {stage.name}.").split(" ")).strip()
    return (
        f"## {number}. {stage.name} ({stage.persona}{planned})\n\n"
        f"{block(f'tta-persona switch {stage.persona} --chatmode {stage.chatmode}')}\n"
        f"{text}\n\n"
        + block(
            f"hypertool gate --quiet --workflow {prompt.workflow.name} --stage {stage.name} "
            f"--persona {stage.persona} -- {gate}"
        )
    )
