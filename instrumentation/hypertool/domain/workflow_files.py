"""Declared workflows from their tables: merged over those known before, and checked beyond what a schema can say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from ..runtime.light_typing import Any, NamedTuple
from .fields import Path, Problem, shown
from .workflow_fields import WORKFLOWS
from .workflows import AGENT_SESSION, DEFAULT_CHATMODE, Stage, Workflow

_KEYS = ("description", "token_budget", "on_fail", "on_exceed", "retries", "backoff_seconds", "agent")


class Finding(NamedTuple):
    """A problem in a file: where it is, the reason, and what to do."""

    file: str
    line: int
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}, {self.remedy}"


Locate = Callable[[Path], int]


def merge_workflows(
    known: Mapping[str, Workflow], tables: Any, source: str, locate: Locate
) -> tuple[dict[str, Workflow], list[Finding]]:
    """The `workflows` tables of one file over those known before, key by key; with every problem found.

    A table with a problem is left out. Personas are checked by `check_personas`, once all files are merged.
    """
    problems = _placed(WORKFLOWS.problems(tables, ("workflows",)))
    merged = dict(known)
    if isinstance(tables, dict):
        wrong = {found.path[1] for found in problems if len(found.path) > 1}
        for name, table in tables.items():
            if name in wrong or (problems and not wrong):
                continue
            path = ("workflows", name)
            inner = [] if name in known or "stages" in table else [_without_stages(name, path)]
            inner += table_problems(table, path, name)
            problems += inner
            if not inner:
                where = f"{source}:{locate(path)}"
                merged[name] = workflow_from(table, known.get(name), name, source, where)
    return merged, [at(found, source, locate) for found in problems]


def at(found: Problem, source: str, locate: Locate) -> Finding:
    """The problem with its file and line, named by its table."""
    return Finding(source, locate(found.path), found.reason, found.remedy)


def _placed(problems: Iterable[Problem]) -> list[Problem]:
    """The same problems with the table in front of the reason."""
    return [found._replace(reason=f"{table_of(found.path)}: {found.reason}") for found in problems]


def table_of(path: Path) -> str:
    """How a person writes the table that holds the path: `[workflows.x]`, `[workflows.x] stage 2`."""
    name = f"[{'.'.join(_key(part) for part in path[:2])}]"
    if len(path) > 3 and path[2] == "stages" and isinstance(path[3], int):
        return f"{name} stage {path[3] + 1}"
    return name


def _key(part: str | int) -> str:
    """A key as it is written: bare where it may be."""
    text = str(part)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else shown(text)


def _without_stages(name: str, path: Path) -> Problem:
    return Problem(
        path,
        f"[workflows.{name}]: a new workflow without stages",
        f"add stages, each as [[workflows.{name}.stages]] with name and persona",
    )


def table_problems(table: Mapping[str, Any], path: Path, name: str) -> list[Problem]:
    """What a schema cannot say about one workflow: credentials as names, a reserved name, stages of the same name."""
    from .labels import unfit

    names = [(path, "workflow", name)]
    seen: dict[str, int] = {}
    found = []
    if name == AGENT_SESSION:
        found.append(
            Problem(path, f"the name {name!r} is that of coding agents' sessions without a workflow", "choose another")
        )
    for place, stage in enumerate(table.get("stages", ())):
        here = (*path, "stages", place)
        first = seen.setdefault(stage["name"], place)
        if first != place:
            found.append(
                Problem(
                    (*here, "name"),
                    f"the stage name {stage['name']!r} is taken by stage {first + 1}",
                    "give each stage a name of its own",
                )
            )
        names.append(((*here, "name"), "stage", stage["name"]))
        found += _agent_problems(stage, here)
        if "chatmode" in stage:
            names.append(((*here, "chatmode"), "chatmode", stage["chatmode"]))
    if path:  # In front matter, `agent` is a key of the agent's own.
        found += _agent_problems(table, path)
    if "chatmode" in table:
        names.append(((*path, "chatmode"), "chatmode", table["chatmode"]))
    for where, what, value in names:
        reason = unfit(value)
        if reason is not None:
            found.append(
                Problem(where, f"{what} {shown(value)}: {reason}", "choose a name that may appear in dashboards")
            )
    budget, planned = table.get("token_budget"), sum(stage.get("tokens", 0) for stage in table.get("stages", ()))
    if budget is not None and planned > budget:
        found.append(
            Problem(
                (*path, "token_budget"),
                f"token_budget = {budget} is less than the {planned:g} tokens of its stages",
                "raise it, or lower the stages' tokens",
            )
        )
    return found


def _agent_problems(table: Mapping[str, Any], path: Path) -> list[Problem]:
    import shlex

    try:
        if shlex.split(table.get("agent", "-")):
            return []
        reason = "it has no word"
    except ValueError as error:
        reason = str(error).lower()
    return [
        Problem((*path, "agent"), f"agent = {shown(table['agent'])}: {reason}", "write it as a shell would split it")
    ]


def workflow_from(table: Mapping[str, Any], known: Workflow | None, name: str, source: str, where: str) -> Workflow:
    """The workflow of a table without problems; keys that it lacks are those of `known`."""
    given = {key: table[key] for key in _KEYS if key in table}
    for key in ("token_budget", "retries"):
        if key in given:
            given[key] = int(given[key])
    base = known or Workflow(name, ())
    if "stages" in table:
        given["stages"] = tuple(_stage(stage, table.get("chatmode", DEFAULT_CHATMODE)) for stage in table["stages"])
    elif "chatmode" in table:
        given["stages"] = tuple(stage._replace(chatmode=table["chatmode"]) for stage in base.stages)
    return base._replace(source=source, where=where, **given)


def _stage(table: Mapping[str, Any], chatmode: str) -> Stage:
    return Stage(
        table["name"],
        table["persona"],
        int(table.get("tokens", 0)),
        table.get("chatmode", chatmode),
        table.get("gate"),
        table.get("agent"),
        table.get("prompt"),
    )


def persona_problems(stages: Iterable[Stage], path: Path, names: Mapping[str, str]) -> list[Problem]:
    """Stages whose persona is unknown. `names` are the personas' names and aliases."""
    found = []
    for place, stage in enumerate(stages):
        if stage.persona not in names:
            from difflib import get_close_matches

            close = get_close_matches(stage.persona, names, n=1)
            found.append(
                Problem(
                    (*path, "stages", place, "persona"),
                    f"unknown persona {stage.persona!r:.120} of the stage {stage.name!r}",
                    f"did you mean {close[0]!r}?" if close else f"declare it as [personas.{stage.persona}] with tokens",
                )
            )
    return found


def with_full_names(workflow: Workflow, names: Mapping[str, str]) -> Workflow:
    """The workflow with personas' names in place of aliases."""
    return workflow._replace(stages=tuple(s._replace(persona=names[s.persona]) for s in workflow.stages))
