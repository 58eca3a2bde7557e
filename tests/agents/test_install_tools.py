"""`agents install --mcp` adds our server to an agent's MCP settings, changes nothing else, and gives the bytes back."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from hypertool.agents.installing import jsonc, plans, tools
from hypertool.cli import main
from tests.agents.test_install import CONTENTS, doctor, put

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

JSON_AGENTS = [agent for agent in tools._USER if agent != "codex"]
TOML = {
    "nothing": None,
    "empty": b"",
    "usual": b'model = "gpt-5" # mine\n\n[projects."/home/ann"]\ntrust_level = "trusted"\n',
    "no newline at the end": b'model = "gpt-5"',
    "CRLF": b'model = "gpt-5"\r\n[tui]\r\ntheme = "x"\r\n',
    "other servers": b'[mcp_servers.other]\ncommand = "x"\n[mcp_servers.other.env]\nA = "[b]"\n',
    "text like a table": b'notes = """\n[mcp_servers.hypertool]\n"""\n',
}


def settings(agent: str, home: Path) -> Path:
    place = tools.place(agent, "user", str(home), "", {})
    assert place is not None
    return Path(place.path)


def server(agent: str, home: Path) -> dict[str, Any]:
    """Our server as the agent reads it."""
    path = settings(agent, home)
    place = tools.place(agent, "user", str(home), "", {})
    assert place is not None
    text = path.read_text("utf-8")
    document = tomllib.loads(text) if path.suffix == ".toml" else jsonc.parse(text).plain()
    found: dict[str, Any] = document[place.key]["hypertool"]
    return found


CASES = [
    *(
        pytest.param(agent, content, id=f"{agent}-{name}")
        for agent in JSON_AGENTS
        for name, content in CONTENTS.items()
    ),
    *(pytest.param("codex", content, id=f"codex-{name}") for name, content in TOML.items()),
]


@pytest.mark.parametrize(("agent", "content"), CASES)
def test_tools_give_the_bytes_back(agent: str, content: bytes | None, home: Path) -> None:
    """Whatever the settings were: our server is in them after installing, and no byte of it after uninstalling."""
    path = settings(agent, home)
    put(path, content)
    before = sorted(home.rglob("*"))
    assert main(["agents", "install", agent, "--mcp"]) == 0
    assert (str(server(agent, home)["command"][-3:])).endswith(("ool", "mcp']"))
    assert main(["agents", "install", agent, "--mcp"]) == 0
    assert main(["agents", "uninstall", agent]) == 0
    assert (path.read_bytes() if path.exists() else None) == content
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("agent", tools._USER)
def test_tools_check_changes_nothing(agent: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` tells what the same command without it does next, and writes nothing."""

    def said(action: str, *options: str) -> list[bool]:
        assert main(["agents", action, agent, "--mcp", "--json", *options]) == 0
        results = json.loads(capsys.readouterr().out)["results"]
        return [one["changed"] for one in results if one["part"] == "tools"]

    for action in ("install", "install", "uninstall", "uninstall"):
        before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
        looked = said(action, "--check")
        assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
        assert said(action) == looked


@pytest.mark.parametrize("agent", ["gemini-cli", "qwen-code", "auggie"])
@pytest.mark.parametrize("first", ["hooks", "tools"])
def test_hooks_and_tools_of_one_file_part(first: str, agent: str, home: Path) -> None:
    """Where hooks and tools are in one file, each goes alone, and the last one gives the file's bytes back."""
    path = settings(agent, home)
    content = CONTENTS["comments"]
    put(path, content)
    assert main(["agents", "install", agent, "--mcp"]) == 0
    if first == "tools":
        assert main(["agents", "uninstall", agent, "--mcp"]) == 0
        assert sorted(set(jsonc.parse(path.read_text()).plain()) - {"theme", "url"}) == ["hooks"]
    else:
        from hypertool.agents.installing import install

        install.uninstall(plans.plan(agent, "user", str(home), "", {}))
        assert sorted(set(jsonc.parse(path.read_text()).plain()) - {"theme", "url"}) == ["mcpServers"]
    assert main(["agents", "uninstall", agent]) == 0
    assert path.read_bytes() == content


@pytest.mark.parametrize("agent", tools._USER)
def test_moved_program_of_the_tools(agent: str, home: Path) -> None:
    """An entry that names another program of ours gets the new one; what a user has added to it stays."""
    path = settings(agent, home)
    assert main(["agents", "install", agent, "--mcp"]) == 0
    wanted = server(agent, home)
    here = wanted["command"][0] if agent == "opencode" else wanted["command"]
    text = path.read_text().replace(json.dumps(here), '"/opt/old/hypertool"')
    if agent == "codex":
        path.write_text(text + "mine = 7\n[tui]\n")
    else:
        path.write_text(re.sub(r'("command": \[?\s*"/opt/old)', r'"mine": 7, \1', text))
    assert main(["agents", "install", agent, "--mcp"]) == 0
    assert server(agent, home) == {**wanted, "mine": 7}


def test_later_changes_beside_the_tools_stay(home: Path) -> None:
    """What a user changes after installing stays; only our entry goes, in JSON and in TOML."""
    claude, codex = settings("claude-code", home), settings("codex", home)
    put(claude, b'{\n  "numStartups": 1\n}\n')
    put(codex, b'model = "a"\n')
    assert main(["agents", "install", "claude-code", "codex", "--mcp"]) == 0
    claude.write_bytes(claude.read_bytes().replace(b'"numStartups": 1', b'"numStartups": 2'))
    codex.write_bytes(codex.read_bytes().replace(b'"a"', b'"b"') + b"\n[tui]\nx = 1\n")
    assert main(["agents", "uninstall", "claude-code", "codex"]) == 0
    assert claude.read_bytes() == b'{\n  "numStartups": 2\n}\n'
    assert tomllib.loads(codex.read_text()) == {"model": "b", "tui": {"x": 1}}


@pytest.mark.parametrize(
    ("agent", "content"),
    [
        ("claude-code", b'{"mcpServers": '),
        ("claude-code", b'{"mcpServers": 3}'),
        ("claude-code", b'{"mcpServers": {"hypertool": {"command": "other", "args": ["mcp"]}}}'),
        ("claude-code", b'{"mcpServers": {"hypertool": {"type": "http", "url": "http://127.0.0.1"}}}'),
        ("opencode", b'{"mcp": {"hypertool": 7}}'),
        ("gemini-cli", b"\xff\xfe"),
        ("codex", b"model = "),
        ("codex", b'[mcp_servers.hypertool]\ncommand = "mine"\n'),
        ("codex", b'mcp_servers = {other = {command = "x"}}\n'),
        ("codex", b'mcp_servers.other.command = "x"\n[mcp_servers]\n'),
    ],
)
def test_odd_settings_are_left_alone(
    agent: str, content: bytes, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings that cannot be changed, or have another server of that name, stay as they are and are named."""
    path = settings(agent, home)
    put(path, content)
    assert main(["agents", "install", agent, "--mcp"]) == 1
    assert str(path) in capsys.readouterr().err
    assert path.read_bytes() == content


@pytest.mark.parametrize("agent", tools.PROJECT)
def test_tools_of_a_project(agent: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a project: our entry is in its own file and leaves no trace; no link in it leads elsewhere."""
    project, outside = home / "project", home / "outside"
    (project / ".git").mkdir(parents=True)
    outside.mkdir()
    monkeypatch.chdir(project)
    before = sorted(home.rglob("*"))
    assert main(["agents", "install", agent, "--mcp", "--scope", "project"]) == 0
    path = project / tools.PROJECT[agent][0]
    assert "hypertool" in path.read_text()
    assert main(["agents", "uninstall", agent, "--scope", "project"]) == 0
    assert sorted(home.rglob("*")) == before
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(outside / "own")
    assert main(["agents", "install", agent, "--mcp", "--scope", "project"]) == 1
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("agent", tools.PROJECT)
def test_repository_chooses_no_environment(
    agent: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a repository says of our server beyond its command is named and left: a variable would be ours to obey."""
    (home / "project/.git").mkdir(parents=True)
    monkeypatch.chdir(home / "project")
    install = ["agents", "install", agent, "--mcp", "--scope", "project"]
    assert main(install) == 0
    file = Path(tools.PROJECT[agent][0])
    ours = file.read_text()
    for variables, code in (("{}", 0), ('{"LD_PRELOAD": "./x.so"}', 1)):
        if agent == "codex":
            line = '[mcp_servers.hypertool.env]\n"LD_PRELOAD" = "./x.so"\n' if code else ""
            file.write_text(ours + line)
        else:
            file.write_text(re.sub(r'("command": )', rf'"env": {variables}, \1', ours))
        before = file.read_text()
        assert main(install) == code
        assert file.read_text() == before
    assert f"{file} sets env of the server hypertool" in capsys.readouterr().err
    assert not doctor(capsys, agent)[1][agent, "tools (project)"]["holds"]


def test_tools_need_the_sdk(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the extra nothing is written into the MCP settings; the line says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["agents", "install", "claude-code", "--mcp"]) == 1
    assert "pip install 'hypertool-observability[mcp]'" in capsys.readouterr().err
    assert not settings("claude-code", home).exists()


def test_doctor_starts_the_server(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The doctor starts the server of the settings: it works, it fails, its program is gone, the file is broken."""
    path = settings("codex", home)

    def tools_link() -> dict[str, Any]:
        return doctor(capsys, "codex")[1]["codex", "tools (user)"]

    assert main(["agents", "install", "codex", "--mcp"]) == 0
    assert tools_link()["holds"]
    good = path.read_text()
    here = server("codex", home)["command"]
    broken = home / "hypertool"
    broken.write_text("#!/bin/sh\necho the SDK is not installed >&2\nexit 3\n")
    broken.chmod(0o755)
    path.write_text(good.replace(here, str(broken)))
    assert "ends with 3: the SDK is not installed" in tools_link()["remedy"]
    os.unlink(broken)
    assert "is not there" in tools_link()["remedy"]
    path.write_text("model = ")
    assert "mend the file" in tools_link()["remedy"]


@pytest.mark.parametrize("agent", tools.PROJECT)
def test_doctor_starts_no_program_of_a_repository(
    agent: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repository that somebody else wrote names a program for our entry: the doctor names it, and does not run it."""
    repository = tmp_path / "theirs"
    (repository / ".git").mkdir(parents=True)
    monkeypatch.chdir(repository)
    assert main(["agents", "install", agent, "--mcp", "--scope", "project"]) == 0
    assert doctor(capsys, agent)[1][agent, "tools (project)"]["holds"]
    file = repository / tools.PROJECT[agent][0]
    theirs = repository / "hypertool"
    theirs.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    theirs.chmod(0o755)
    here = next(
        str(place)
        for place in (Path(sys.argv[0]), Path(sys.executable).with_name("hypertool"))
        if str(place) in file.read_text()
    )
    for named in (str(theirs), "./hypertool"):
        file.write_text(file.read_text().replace(here, named))
        here = named
        found = doctor(capsys, agent)[1][agent, "tools (project)"]
        assert (found["holds"], (tmp_path / "ran").exists()) == (False, False)
        assert named in found["remedy"]


@pytest.mark.parametrize("command", ["'hypertool hook claude-code Stop", "\x1b]0;hypertool hook claude-code Stop"])
def test_doctor_survives_the_text_of_a_repository(
    command: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Open quotes in a hook's command are named; what a terminal would obey is shown and not sent to it."""
    repository = tmp_path / "theirs"
    hooks = {"Stop": [{"hooks": [{"type": "command", "command": command}]}]}
    put(repository / ".claude" / "settings.json", json.dumps({"hooks": hooks}).encode())
    (repository / ".git").mkdir()
    monkeypatch.chdir(repository)
    assert main(["agents", "doctor", "claude-code"]) == 1
    found = capsys.readouterr()
    assert "hook program" in found.out
    assert "\x1b" not in found.out
    assert found.err == ""


def test_list_shows_the_tools(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`hypertool agents` says where the tools are."""
    assert main(["agents", "install", "opencode", "--mcp"]) == 0
    capsys.readouterr()
    assert main(["agents", "opencode", "claude-code", "--json"]) == 0
    assert [row["tools"] for row in json.loads(capsys.readouterr().out)["agents"]] == [["user"], []]
