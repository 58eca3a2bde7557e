"""The keys of declared workflows, in a configuration file and in the front matter of a prompt file."""

from __future__ import annotations

from .fields import Anything, Choice, Count, Either, Field, Flag, Many, Named, Number, Table, Text
from .workflows import ON_FAIL

MAX_TOKENS = 10**12
MAX_STAGES = 50

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9])?"
NAME = Text(
    "a name of up to 100 letters, digits, '-', '_' or '.', that starts and ends with a letter or digit and is not "
    "'other', 'none' or 'unknown'",
    _LABEL,
    100,
    ("other", "none", "unknown"),
)
PERSONA = Text(
    "the name of a persona: up to 100 lower-case letters, digits, '-', '_' or '.'",
    r"[a-z0-9](?:[a-z0-9_.-]{0,98}[a-z0-9])?",
    100,
    ("other", "none", "unknown"),
)
COMMAND = Text("a command of 1 to 4000 characters, without the character NUL", r"[^\u0000]*[^\u0000\s][^\u0000]*", 4000)
PROSE = Text("a text of up to 20000 characters, without the character NUL", r"[^\u0000]*", 20_000)
# Without line ends of any kind and marks that turn the direction of writing.
LINE = Text(
    "one line of up to 1000 characters that can be seen",
    r"[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*",
    1000,
)
_TOKENS = Count(1, MAX_TOKENS)

STAGE = Table(
    "a table with `name` and `persona`",
    name=Field(NAME, "the stage's name, unique in its workflow", required=True),
    persona=Field(PERSONA, "the persona that does it, or one of its aliases", required=True),
    tokens=Field(_TOKENS, "how many tokens it is planned to use"),
    chatmode=Field(NAME, "the kind of work (default: the workflow's)"),
    gate=Field(COMMAND, "shell command of the quality gate; exit code 0 passes (default: the agent's exit code)"),
    agent=Field(COMMAND, "command line of the agent, such as `claude -p {prompt}` (default: the workflow's)"),
    prompt=Field(PROSE, "what the agent is told (default: a short text from workflow, stage and persona)"),
)
_STAGES = Field(Many(STAGE, "stages", 1, MAX_STAGES), "the stages, in their order")
_SHARED = {
    "token_budget": Field(_TOKENS, "how many tokens one run may use"),
    "on_fail": Field(Choice(*ON_FAIL), "what a failed gate does: stop, retry the stage, or continue"),
    "on_exceed": Field(Choice("warn", "block"), "what an overspent token_budget does: warn, or block the next stage"),
    "retries": Field(Count(1, 10), "how often a failed stage is tried again where on_fail is retry"),
    "backoff_seconds": Field(Number(0, 3600), "the pause before the first retry; each further one is twice as long"),
    "chatmode": Field(NAME, "the kind of work of stages that name none (default: default)"),
    "stages": _STAGES,
}

WORKFLOW = Table(
    "a table with `stages`",
    description=Field(LINE, "what the workflow is for"),
    agent=Field(COMMAND, "command line of the agent for every stage, such as `claude -p {prompt}`"),
    **_SHARED,
)
WORKFLOWS = Named(NAME, WORKFLOW, "tables like [workflows.my_flow]")

# Keys that agents read in their own prompt files, commands, skills and personas; any value is accepted.
AGENT_KEYS = (
    "agent",
    "allowed-tools",
    "argument-hint",
    "arguments",
    "color",
    "compatibility",
    "context",
    "disable-model-invocation",
    "effort",
    "handoffs",
    "hooks",
    "license",
    "mcp-servers",
    "metadata",
    "mode",
    "model",
    "paths",
    "target",
    "tools",
    "user-invocable",
    "when_to_use",
)
_VERSION = Either(
    Text("", r"[0-9A-Za-z][0-9A-Za-z.+-]{0,49}", 50), Number(0, 10**6), "a version such as 1.0.0, up to 50 characters"
)
_GATES = Either(
    Many(NAME, "names of stages"),
    Named(NAME, COMMAND, "names of stages with their gate commands", MAX_STAGES),
    "a list of stages whose gates must pass, or a mapping from stages to gate commands",
)
FRONT_MATTER = Table(
    "keys such as `workflow_name: my_flow`",
    hypertool_enabled=Field(Flag(), "true for a prompt file that is measured", required=True),
    workflow_name=Field(NAME, "the workflow; its metrics carry this name", required=True),
    workflow_type=Field(NAME, "the agent or the kind of work that the file is written for"),
    name=Field(LINE, "the name under which the agent offers the file"),
    description=Field(LINE, "what the workflow is for"),
    version=Field(_VERSION, "the file's version"),
    personas=Field(Many(PERSONA, "personas"), "the personas that take part"),
    apm_enabled=Field(Flag(), "whether runs are traced"),
    quality_gates=Field(_GATES, "stages whose gates must pass, or a mapping from stages to gate commands"),
    **_SHARED,
    **{key.replace("-", "__"): Field(Anything(), "read by the agent") for key in AGENT_KEYS},
)
