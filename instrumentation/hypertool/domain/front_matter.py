"""The front matter of a prompt file: YAML between two lines `---`, with the line of every key.

YAML is read by PyYAML (the extra `prompts`), imported only here: exporter, hooks and TOML workflows do without it. What
configuration has no use for is refused: anchors, aliases, tags, several documents and duplicate keys.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from ..runtime.light_typing import Any, NamedTuple, Protocol
from ..runtime.text_files import nearest_line, read_text
from .fields import Path as KeyPath
from .fields import Problem, shown
from .persona_tables import Persona
from .workflow_fields import FRONT_MATTER
from .workflow_files import Finding, at, persona_problems, table_problems, with_full_names, workflow_from
from .workflows import Workflow

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
FENCE = "---"
_SECOND = re.compile(r"\s*^(---)[ \t]*\n(?:[\w-]+:.*\n|[ \t#-].*\n)+---[ \t]*$", re.MULTILINE)


class PromptFile(NamedTuple):
    """A prompt file: its keys, the line of each key, and the text below (which starts at `body_line`)."""

    path: str
    values: dict[str, Any]
    lines: dict[KeyPath, int]
    body: str
    body_line: int

    def line(self, key: KeyPath) -> int:
        """The line of a key, else of the nearest one that holds it."""
        return nearest_line(self.lines, key)


def read_prompt(path: Path) -> PromptFile:
    """Read and parse a prompt file. Raises ConfigError (file, line, reason)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(f"{path}:1: not a regular file; name a prompt file")
            text = read_text(path, file, MAX_BYTES, "a prompt file")
    except OSError as error:
        raise ConfigError(f"{path}:1: cannot be read ({error.strerror}); name a file that exists") from None
    return parse_prompt(text, str(path))


def parse_prompt(text: str, path: str) -> PromptFile:
    """Parse the text of a prompt file. Raises ConfigError (file, line, reason)."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != FENCE:
        raise ConfigError(f"{path}:1: no front matter; begin the file with a line {FENCE} and its keys")
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == FENCE), None)
    if end is None:
        raise ConfigError(f"{path}:1: the front matter has no end; close it with a second line {FENCE}")
    values, found = _yaml("\n".join(lines[1:end]) + "\n", path)
    return PromptFile(path, values, found, "\n".join(lines[end + 1 :]), end + 2)


def _yaml(text: str, path: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            f"{path}:1: front matter is YAML, which needs PyYAML; "
            "install it with `pip install 'hypertool-observability[prompts]'`, or declare the workflow in TOML"
        ) from None
    try:
        depth = 0
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            # Before `compose`, whose time grows with the square of the depth.
            name = type(token).__name__
            depth += name.endswith("StartToken") - name.endswith("EndToken")
            if depth > MAX_DEPTH:
                raise ConfigError(
                    f"{path}:{token.start_mark.line + 2}: nested too deeply; use at most {MAX_DEPTH} levels"
                )
            if isinstance(token, (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)):
                kind = {"AnchorToken": "an anchor", "AliasToken": "an alias"}.get(name, "a tag")
                line = token.start_mark.line + 2
                raise ConfigError(f"{path}:{line}: YAML has {kind} here; write the value itself")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise ConfigError(f"{path}:1: the front matter is empty; add hypertool_enabled and workflow_name")
        lines: dict[KeyPath, int] = {}
        values = _value(yaml, node, (), lines, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 2 if mark is not None else 1
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem or error.context}; correct it") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 2
        reason = f"the character U+{error.character:04X} may not be there"
        raise ConfigError(f"{path}:{line}: not valid YAML: {reason}; remove it") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}:1: not valid YAML: {reason:.200}; correct it") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:2: the front matter is not a mapping; write keys such as `workflow_name: my_flow`")
    return values, lines


def _value(yaml: Any, node: Any, where: KeyPath, lines: dict[KeyPath, int], path: str) -> Any:
    """The plain value of a node; notes the lines of keys and items."""
    line = node.start_mark.line + 2
    lines.setdefault(where, line)
    if isinstance(node, yaml.SequenceNode):
        return [_value(yaml, item, (*where, place), lines, path) for place, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 2
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                raise ConfigError(f"{path}:{line}: a key must be a plain text; write it as `name: value`")
            key = key_node.value
            if key in found:
                raise ConfigError(f"{path}:{line}: the key {key!r:.80} is there twice; keep one of them")
            lines[(*where, key)] = line
            found[key] = _value(yaml, value_node, (*where, key), lines, path)
        return found
    return _scalar(yaml, node, path)


def _scalar(yaml: Any, node: Any, path: str) -> Any:
    """The plain value of a scalar; what Python cannot hold, or readers of YAML disagree about, is refused."""
    line, written = node.start_mark.line + 2, node.value
    if any("\ud800" <= character <= "\udfff" for character in written):
        raise ConfigError(f"{path}:{line}: half a surrogate pair is no character; write the character itself")
    plain = node.style is None and node.tag.endswith((":int", ":float"))
    if plain and (":" in written or re.match(r"[-+]?0[0-9_]", written)):
        raise ConfigError(
            f"{path}:{line}: {shown(written)} is a number only in some readers of YAML; "
            "write it with the digits 0 to 9 and no 0 in front, or in quotes"
        )
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:
        raise ConfigError(
            f"{path}:{line}: {shown(written)} cannot be a number or a date; correct it, or write it in quotes"
        ) from None


class Known(Protocol):
    """The personas and workflows that are declared elsewhere, such as a catalogue."""

    @property
    def personas(self) -> Mapping[str, Persona]:
        """By their names."""

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        """By their names."""


class Checked(NamedTuple):
    """A prompt file's workflow (None where it has none that can run) and every problem found."""

    workflow: Workflow | None
    findings: list[Finding]


def check_prompt(prompt: PromptFile, known: Known) -> Checked:
    """The workflow of a prompt file: its own `stages`, else those of the declared workflow of that name."""
    problems = FRONT_MATTER.problems(prompt.values, ())
    findings = []
    second = _SECOND.match(prompt.body)
    if second is not None:
        line = prompt.body_line + prompt.body.count("\n", 0, second.start(1))
        findings = [Finding(prompt.path, line, "a second front matter, which nothing reads", "merge it into the first")]
    workflow = None
    if not problems:
        workflow, problems = _workflow(prompt, known)
    findings += [at(found, prompt.path, prompt.line) for found in problems]
    return Checked(workflow if not findings else None, findings)


def _workflow(prompt: PromptFile, known: Known) -> tuple[Workflow, list[Problem]]:
    values, name = prompt.values, prompt.values["workflow_name"]
    declared = known.workflows.get(name)
    names = {alias: p.name for p in known.personas.values() for alias in (p.name, *p.aliases)}
    problems = table_problems(values, (), name)
    # `agent` in front matter is the agent's own key (a mode of Copilot's), not a command line.
    table = {key: value for key, value in values.items() if key != "agent"}
    where = f"{prompt.path}:{prompt.line(('workflow_name',))}"
    workflow = workflow_from(table, declared, name, prompt.path, where)
    if not workflow.stages:
        reason = f"workflow_name = {name!r} is not declared, and the file has no stages"
        return workflow, [*problems, Problem(("workflow_name",), reason, _remedy(name, known))]
    problems += persona_problems(workflow.stages, (), names)
    problems += _persona_list_problems(values.get("personas", ()), workflow, names)
    gates = values.get("quality_gates", ())
    problems += _twice("quality_gates", gates if isinstance(gates, list) else [])
    for place, stage in enumerate(gates):
        if workflow.stage(stage) is None:
            stages = ", ".join(s.name for s in workflow.stages)
            key = stage if isinstance(gates, dict) else place
            reason = f"quality_gates names {stage!r}, which is no stage of {name}"
            problems.append(Problem(("quality_gates", key), reason, f"expected some of {stages}"))
    if problems:
        return workflow, problems
    workflow = with_full_names(workflow, names)
    if declared is not None and [s[:2] for s in workflow.stages] != [s[:2] for s in declared.stages]:
        reason = f"its stages differ from those of {name!r} in {declared.where or 'the package'}"
        problems.append(Problem(("stages",), reason, "give it another workflow_name, or remove its stages"))
    if isinstance(gates, dict):
        workflow = workflow._replace(stages=tuple(s._replace(gate=gates.get(s.name, s.gate)) for s in workflow.stages))
    return workflow, problems


def _twice(key: str, listed: list[str]) -> list[Problem]:
    return [
        Problem((key, place), f"{key} names {name!r} twice", "keep one of them")
        for place, name in enumerate(listed)
        if name in listed[:place]
    ]


def _remedy(name: str, known: Known) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.replace("-", "_"), known.workflows, n=1)
    hint = f"did you mean {close[0]!r}? Otherwise " if close else ""
    return f"{hint}add `stages` to the front matter, or declare [workflows.{name}] in hypertool.toml"


def _persona_list_problems(listed: list[str], workflow: Workflow, names: dict[str, str]) -> list[Problem]:
    """`personas` must be exactly those of the stages, each once."""
    found = _twice("personas", listed)
    found += [
        Problem(("personas", place), f"unknown persona {name!r}", f"declare it as [personas.{name}] with tokens")
        for place, name in enumerate(listed)
        if name not in names
    ]
    if not listed or found:
        return found
    used = {names.get(stage.persona, stage.persona) for stage in workflow.stages}
    for place, name in enumerate(listed):
        if names[name] not in used:
            found.append(
                Problem(("personas", place), f"the persona {name!r} does no stage", "remove it, or give it a stage")
            )
    missing = used - {names[name] for name in listed}
    if missing:
        reason = f"personas lacks {', '.join(sorted(missing))}, which its stages use"
        found.append(Problem(("personas",), reason, "add what is missing, or remove the key"))
    return found
