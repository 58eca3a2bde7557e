"""A variable that moves an agent's files moves them for all of us: reader, hook, `agents install`, MCP settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hypertool.agents import folders
from hypertool.agents.hooks.events import files, parse, session_file
from hypertool.agents.installing import plans, tools
from hypertool.agents.reading.registry import reader
from hypertool.cli import main
from tests.agents import homes

# Agent, the variable, and what it names, below the folder that the variable moves.
MOVED = [
    ("claude-code", "CLAUDE_CONFIG_DIR", ".claude"),
    ("codex", "CODEX_HOME", ".codex"),
    ("gemini-cli", "GEMINI_CLI_HOME", ""),
    ("copilot-cli", "COPILOT_HOME", ".copilot"),
    ("cline", "CLINE_DIR", ".cline"),
    ("qwen-code", "QWEN_HOME", ".qwen"),
]
# Agent, the variable, what it names, and whether that has the sessions, the hooks and the MCP settings.
PARTS = [
    ("cline", "CLINE_DATA_DIR", ".cline/data", (True, False, True)),
    ("cline", "CLINE_SESSION_DATA_DIR", ".cline/data/sessions", (True, False, False)),
    ("qwen-code", "QWEN_RUNTIME_DIR", ".qwen", (True, False, False)),
    ("opencode", "XDG_DATA_HOME", ".local/share", (True, False, False)),
    ("opencode", "XDG_CONFIG_HOME", ".config", (False, False, True)),
]
CASES = [*((*moved, (True, True, True)) for moved in MOVED), *PARTS]


def _sessions(home: Path, agent: str) -> list[Path]:
    if agent == "qwen-code":
        return [homes.qwen_session(home, homes.qwen_record(1))]
    if agent == "opencode":
        return [homes.opencode_database(home, {"msg_1": homes.opencode_message(1)})]
    return homes.install(home, agent)


def _moved(home: Path, elsewhere: Path, below: str, paths: list[Path]) -> list[Path]:
    """The files as they are where the folder is another one."""
    found = []
    for path in paths:
        if path.is_relative_to(home / below):
            target = elsewhere / path.relative_to(home / below)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            path = target
        found.append(path)
    return found


@pytest.mark.parametrize(("agent", "variable", "below", "has"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_variable_moves_all_of_an_agent(
    agent: str, variable: str, below: str, has: tuple[bool, bool, bool], home: Path, tmp_path: Path
) -> None:
    """Sessions are read, hooks and tools are installed in the folder that the agent uses, and nowhere else."""
    elsewhere = tmp_path / "elsewhere"
    moved = {variable: str(elsewhere)}
    project = str(home / "project")
    sessions = _moved(home, elsewhere, below, _sessions(home, agent)) if has[0] else []
    found = list(reader(agent).locations(str(home), moved)) if has[0] else []
    assert sorted(found) == sorted(map(str, sessions))
    places = [
        (has[1], plans.plan(agent, "user", str(home), project, moved).path if agent in plans.HOOKED else ""),
        (has[2], getattr(tools.place(agent, "user", str(home), project, moved), "path", "")),
    ]
    for expected, path in places:
        assert bool(path) and Path(path).is_relative_to(elsewhere) if expected else not path.startswith(str(elsewhere))
    if agent in plans.HOOKED:  # a project's own files stay in it
        assert plans.plan(agent, "project", str(home), project, moved).path.startswith(project + os.sep)


@pytest.mark.parametrize(("agent", "variable"), [("copilot-cli", "COPILOT_HOME"), ("cline", "CLINE_DIR")])
def test_hook_finds_the_moved_session(agent: str, variable: str, home: Path, tmp_path: Path) -> None:
    """A hook whose event names no file finds the session's by its id, in the folder that the variable names."""
    below = next(case[2] for case in MOVED if case[1] == variable)
    path = _moved(home, tmp_path / "elsewhere", below, homes.install(home, agent))[0]
    session = path.parent.name
    given = {"taskId": session} if agent == "cline" else {"sessionId": session}
    event = parse(agent, "PreToolUse", given)
    moved = {variable: str(tmp_path / "elsewhere")}
    assert session_file(event, str(home), moved) == str(path)
    assert str(path) in list(files(event, str(home), moved))


@pytest.mark.parametrize(
    ("agent", "variable"), [("cline", "CLINE_DIR"), ("copilot-cli", "COPILOT_HOME"), ("qwen-code", "QWEN_HOME")]
)
def test_uninstall_finds_hooks_left_behind(
    agent: str, variable: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks from before the variable moved the agent's folder are uninstalled too: nothing of ours is in the home."""
    assert main(["agents", "install", agent]) == 0
    assert any(home.rglob("*"))
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert main(["agents", "install", agent]) == 0
    assert main(["agents", "uninstall", agent]) == 0
    assert not any(path for path in (*home.rglob("*"), *(tmp_path / "elsewhere").rglob("*")) if path.is_file())


def test_every_variable_is_tried_here() -> None:
    """No variable of the table is without a case; an empty one moves nothing."""
    assert {case[1] for case in CASES} == set(folders.VARIABLES)
    for agent, variable, below in MOVED:
        expected = below or ".gemini"
        assert folders.folder(agent, "/home/ann", {variable: ""}) == f"/home/ann/{expected}"
