"""Installing hooks changes nothing else in a user's files, and uninstalling gives the very bytes back."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hypertool.agents.installing import jsonc, plans
from hypertool.cli import main
from tests.agents import homes
from tests.agents.hooking import event
from tests.support.odd_places import put_pipe_or_folder

SETTINGS = ("claude-code", "codex", "gemini-cli", "auggie", "qwen-code")
CONTENTS = {
    "nothing": None,
    "empty": b"",
    "blank": b"\n",
    "empty object": b"{}",
    "one line": b'{"model": "x", "hooks": {}}',
    "usual": b'{\n  "model": "opus",\n  "permissions": {"allow": ["Bash(ls:*)"]}\n}\n',
    "no newline at the end": b'{\n    "theme": "dark"\n}',
    "tabs": b'{\n\t"theme": "dark",\n\t"deep": {\n\t\t"a": [1, 2]\n\t}\n}\n',
    "CRLF": b'{\r\n  "theme": "dark"\r\n}\r\n',
    "BOM": b'\xef\xbb\xbf{\n  "theme": "dark"\n}\n',
    "comments": (
        b'// mine\n{\n  // about the theme\n  "theme": "dark", /* } */ // "hooks": []\n'
        b'  "url": "http://x//y", // end\n}\n// last\n'
    ),
    "other hooks": (
        b'{\n  "hooks": {\n    // keep\n    "PreToolUse": [\n      {"matcher": "Bash", "hooks": [{"type": "command", '
        b'"command": "./lint.sh"}]},\n    ],\n    "Custom": [1,2,],\n  },\n}\n'
    ),
    "hooks in one line": b'{"hooks":{"SessionStart":[{"hooks":[{"type":"command","command":"x"}]}]},"a":1e5}',
    "unicode": '{\n  "name": "Zoë \\u00e9 \U0001f600"\n}\n'.encode(),
    "numbers": b'{"big": 123456789012345678901234567890, "small": 1.10, "e": 1E+2}',
    "same key twice": b'{\n  "theme": "a",\n  "theme": "b"\n}\n',
}


def settings(agent: str, home: Path) -> Path:
    return Path(plans.plan(agent, "user", str(home), "", {}).path)


def put(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def commands(path: Path, agent: str) -> dict[str, list[str]]:
    """Our commands by event, as a reader of JSON with comments finds them."""
    document = jsonc.parse(path.read_text("utf-8")).plain()
    return {
        name: [hook["command"] for item in entries if isinstance(item, dict) for hook in item.get("hooks", ())
               if f" hook {agent} " in hook["command"]]
        for name, entries in document["hooks"].items()
    }  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("agent", SETTINGS)
def test_uninstall_gives_the_bytes_back(agent: str, content: bytes | None, home: Path) -> None:
    """Whatever the file was, after installing and uninstalling it is that again; one that was not there is gone."""
    path = settings(agent, home)
    put(path, content)
    assert main(["agents", "install", agent]) == 0
    assert {len(found) for name, found in commands(path, agent).items() if name in plans._EVENTS[agent]} == {1}
    assert main(["agents", "uninstall", agent]) == 0
    assert (path.read_bytes() if path.exists() else None) == content
    if content is None:
        assert not path.parent.exists()


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_what_is_the_users_own_survives(content: bytes | None, home: Path) -> None:
    """Every line of the user's is still there, in its order, and means the same."""
    path = settings("claude-code", home)
    put(path, content)
    main(["agents", "install", "claude-code"])
    text = path.read_bytes()
    at = 0
    for line in (content or b"").split(b"\n"):
        for part in (line.strip(b"\r{"),) if b"hooks" not in line and b"{}" not in line else ():
            at = text.index(part, at)
    if content and content.strip():
        before = jsonc.parse(content.decode("utf-8")).plain()
        after = jsonc.parse(text.decode("utf-8")).plain()
        assert {key: value for key, value in after.items() if key != "hooks"} == {
            key: value for key, value in before.items() if key != "hooks"
        }
        for name, entries in before.get("hooks", {}).items():
            assert after["hooks"][name][-len(entries) :] == entries


@pytest.mark.parametrize(
    "words",
    [
        ["install", "claude-code", "--check", "--json"],
        ["install", "--json", "claude-code", "--check"],
        ["--json", "install", "--check", "claude-code"],
        ["--check", "--json", "install", "claude-code"],
    ],
)
def test_options_stand_anywhere(words: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options may come before, between and after the action and the names."""
    assert main(["agents", *words]) == 0
    assert [one["agent"] for one in json.loads(capsys.readouterr().out)["results"]] == ["claude-code"]


@pytest.mark.parametrize("agent", plans.HOOKED)
def test_second_install_changes_nothing(agent: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Installing again leaves every byte and time as it is, and says so."""
    main(["agents", "install", agent])
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["agents", "install", agent, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("agent", plans.HOOKED)
def test_check_changes_nothing(agent: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` tells what the same command without it does next, and writes nothing, not even its own records."""

    def said(action: str, *options: str) -> tuple[bool, bool]:
        assert main(["agents", action, agent, "--json", *options]) == 0
        answer = json.loads(capsys.readouterr().out)
        return answer["changed"], answer["results"][0]["changed"]

    for action in ("install", "install", "uninstall", "uninstall"):
        before = sorted(home.rglob("*"))
        looked = said(action, "--check")
        assert sorted(home.rglob("*")) == before
        assert said(action) == looked


@pytest.mark.parametrize("agent", plans.HOOKED)
@pytest.mark.parametrize("scope", plans.SCOPES)
def test_scopes_leave_no_trace(agent: str, scope: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the user and for a project: nothing is left behind, not even an empty folder."""
    project = home / "project"
    (project / ".git").mkdir(parents=True)
    monkeypatch.chdir(project)
    before = sorted(home.rglob("*"))
    assert main(["agents", "install", agent, "--scope", scope]) == 0
    assert sorted(home.rglob("*")) != before
    assert main(["agents", "uninstall", agent, "--scope", scope]) == 0
    assert sorted(home.rglob("*")) == before


def test_later_changes_of_the_user_stay(home: Path) -> None:
    """What a user changes between installing and uninstalling stays; only our entries go."""
    path = settings("claude-code", home)
    put(path, CONTENTS["other hooks"])
    main(["agents", "install", "claude-code"])
    path.write_bytes(path.read_bytes().replace(b'"Custom": [1,2,]', b'"Custom": [1,2,3] // new\n'))
    main(["agents", "uninstall", "claude-code"])
    assert path.read_bytes() == CONTENTS["other hooks"].replace(b'"Custom": [1,2,]', b'"Custom": [1,2,3] // new\n')


def test_moved_program_is_replaced(home: Path) -> None:
    """Entries that name another program of ours are replaced, not doubled."""
    path = settings("claude-code", home)
    main(["agents", "install", "claude-code"])
    here = commands(path, "claude-code")["Stop"][0].split(" hook ")[0]
    path.write_text(path.read_text().replace(here, "/opt/old/hypertool"))
    main(["agents", "install", "claude-code"])
    assert "/opt/old" not in path.read_text()
    assert commands(path, "claude-code")["Stop"] == [f"{here} hook claude-code Stop"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "line 1"),
        (b'{"a": }', "line 1, column 7"),
        (b'{\n"a": 1\n"b": 2}', "line 3"),
        (b"[]", "expected an object"),
        (b'"text"', "expected an object"),
        (b'{"hooks": []}', '"hooks"'),
        (b'{"hooks": {"Stop": {}}}', "hooks.Stop"),
        (b"\xff\xfe{}", "UTF-8"),
        (b"{'a': 1}", "double quotes"),
        (b'{"a":' * 500, "levels"),
        (b" " * (5 << 20), "bytes"),
    ],
)
def test_strange_file_is_left_alone(content: bytes, said: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not what the agent reads is not touched; the error says where, and the exit code is 1."""
    path = settings("claude-code", home)
    put(path, content)
    assert main(["agents", "install", "claude-code"]) == 1
    assert said in capsys.readouterr().err
    assert path.read_bytes() == content


def test_read_only_file_is_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that its owner made read-only is not replaced; the error says how to go on."""
    path = settings("claude-code", home)
    put(path, b"{}")
    path.chmod(0o444)
    assert main(["agents", "install", "claude-code"]) == 1
    assert "chmod u+w" in capsys.readouterr().err
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"{}", 0o444)


def test_mode_and_link_are_kept(home: Path) -> None:
    """The file keeps its mode; a link to a file elsewhere (people keep such files in a repository) stays a link."""
    path = settings("claude-code", home)
    elsewhere = home / "dotfiles.json"
    elsewhere.write_bytes(b"{}")
    elsewhere.chmod(0o640)
    path.parent.mkdir(parents=True)
    path.symlink_to(elsewhere)
    main(["agents", "install", "claude-code"])
    assert path.is_symlink()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640
    assert "hooks" in json.loads(elsewhere.read_text())


@pytest.mark.parametrize("kind", ["fifo", "folder", "other user"])
def test_hostile_places_are_refused(kind: str, home: Path) -> None:
    """A pipe, a folder or another user's file in the place of the settings is refused, without waiting."""
    path = settings("claude-code", home)
    if not put_pipe_or_folder(kind, path):
        if os.geteuid() != 0:
            pytest.skip("needs root to give a file to another user")
        path.write_bytes(b"{}")
        os.chown(path, 12345, 12345)
    assert main(["agents", "install", "claude-code"]) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="a link is given to another user: run pytest as root")
@pytest.mark.parametrize("agent", plans.HOOKED)
def test_link_of_another_user_is_refused(agent: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Root that installs in somebody's home writes nowhere that this person's links lead to."""
    plan = plans.plan(agent, "user", str(home), "", {})
    treasure = home / "treasure"
    treasure.mkdir()
    link = Path(plan.path) if plan.shape == "executables" else Path(plan.path).parent
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(treasure)
    os.lchown(link, 12345, 12345)
    assert main(["agents", "install", agent]) == 1
    assert "a link of user 12345" in capsys.readouterr().err
    assert list(treasure.iterdir()) == []


@pytest.mark.parametrize("link", ["folder", "file"])
@pytest.mark.parametrize("agent", plans.HOOKED)
def test_link_out_of_a_project_is_refused(
    agent: str, link: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repository may hold links; none of them makes an installation for the project write elsewhere."""
    project, outside = home / "project", home / "outside"
    (project / ".git").mkdir(parents=True)
    monkeypatch.chdir(project)
    plan = plans.plan(agent, "project", str(home), str(project), {})
    path = Path(plan.path, plan.events[0]) if plan.shape == "executables" else Path(plan.path)
    put(outside / "own.json", b"{}")
    if link == "folder":
        (project / path.relative_to(project).parts[0]).symlink_to(outside)
    else:
        path.parent.mkdir(parents=True)
        path.symlink_to(outside / "own.json")
    before = {one: one.read_bytes() for one in outside.rglob("*")}
    for action in ("install", "uninstall"):
        assert main(["agents", action, agent, "--scope", "project"]) == 1
        assert "leads out of" in capsys.readouterr().err
    assert {one: one.read_bytes() for one in outside.rglob("*")} == before


def test_foreign_executable_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hook of the user's own in Cline's folder is not replaced; the error says which line to add to it."""
    hook = home / ".cline" / "hooks" / "PreToolUse"
    put(hook, b"#!/bin/sh\nexit 0\n")
    assert main(["agents", "install", "cline"]) == 1
    assert "hook cline PreToolUse" in capsys.readouterr().err
    assert [path.name for path in hook.parent.iterdir()] == ["PreToolUse"]


def test_installed_commands_run(home: Path) -> None:
    """What was written into the file is a command that a shell runs, with the agent's data on its input."""
    homes.install(home, "claude-code")
    main(["agents", "install", "claude-code"])
    [command] = commands(settings("claude-code", home), "claude-code")["PreToolUse"]
    given = json.dumps(event("claude-code", home, "PreToolUse"))
    done = subprocess.run(["sh", "-c", command], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    main(["agents", "install", "cline"])
    script = home / ".cline" / "hooks" / "PreToolUse"
    done = subprocess.run([script], input="{}", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_executable_without_program_lets_go_on(home: Path) -> None:
    """When hypertool was removed without uninstalling, Cline's hook ends with 0."""
    main(["agents", "install", "cline"])
    script = home / ".cline" / "hooks" / "PreToolUse"
    text = script.read_text()
    script.write_text(text.replace(text.split("-x ")[1].split(" ]")[0], "/gone/hypertool"))
    assert subprocess.run([script], input="{}", capture_output=True, text=True, check=False).returncode == 0


def test_without_names_only_agents_that_are_here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name, hooks are installed for the agents that this user has."""
    monkeypatch.setenv("PATH", "/nonexistent")
    homes.install(home, "claude-code")
    assert main(["agents", "install"]) == 0
    assert settings("claude-code", home).exists()
    assert not settings("gemini-cli", home).exists()


def doctor(capsys: pytest.CaptureFixture[str], *names: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    capsys.readouterr()
    code = main(["agents", "doctor", *names, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] == (code == 0)
    return code, {(finding["agent"], finding["link"]): finding for finding in document["findings"]}


def test_doctor_names_each_broken_link(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Program, hooks, their program, the switch in the file, the sessions, the endpoint: each with its remedy."""
    monkeypatch.setenv("PATH", "/nonexistent")
    homes.install(home, "claude-code")
    path = settings("claude-code", home)
    code, found = doctor(capsys, "claude-code")
    broken = {link for (_, link), finding in found.items() if not finding["holds"]}
    assert (code, broken) == (1, {"program", "hooks", "sessions", "endpoint"})
    assert all(finding["remedy"] for finding in found.values() if not finding["holds"])
    main(["agents", "install", "claude-code"])
    main(["usage", "--read"])
    _, found = doctor(capsys, "claude-code")
    assert {link for (_, link), finding in found.items() if not finding["holds"]} == {"program", "endpoint"}
    path.write_text(path.read_text().replace('"hooks": {', '"disableAllHooks": true,\n  "hooks": {', 1))
    assert not doctor(capsys, "claude-code")[1]["claude-code", "hooks switched on"]["holds"]
    text = path.read_text()
    path.write_text(text.replace(commands(path, "claude-code")["Stop"][0].split(" hook ")[0], "/gone/hypertool"))
    assert not doctor(capsys, "claude-code")[1]["claude-code", "hook program"]["holds"]
    path.write_text("{")
    assert not doctor(capsys, "claude-code")[1]["claude-code", "hooks (user)"]["holds"]


def test_doctor_follows_the_base_url(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base URL at the gateway's address: nothing listens there, its path is wrong, it works; others are no link."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("HYPERTOOL_GATEWAY_LISTEN", f"127.0.0.1:{port}")

        def gateway(url: str) -> dict[str, Any] | None:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
            return doctor(capsys, "claude-code")[1].get(("claude-code", "gateway"))

        for other in (
            "https://user:secret@example.com/anthropic",
            f"http://127.0.0.1:{port + 1}",
            "http://[::1",
            "x:y",
        ):
            assert gateway(other) is None
        right = f"http://127.0.0.1:{port}/p/testing/anthropic"
        found = gateway(f"http://127.0.0.1:{port}/openai/v1")
        assert found is not None
        assert (found["holds"], found["remedy"]) == (
            False,
            f"export ANTHROPIC_BASE_URL=http://127.0.0.1:{port}/anthropic",
        )
        found = gateway(right)
        assert found is not None
        assert found["holds"]
    found = gateway(right)
    assert found is not None
    assert "nothing listens" in found["seen"]
    assert "run `hypertool gateway`" in found["remedy"]


def test_doctor_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking at the chain leaves every file of the home as it is."""
    homes.install(home, "codex")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    doctor(capsys)
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_agents_lists_every_agent(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All nine agents: here or not, hooked or not, when last heard of."""
    homes.install(home, "claude-code")
    main(["agents", "install", "claude-code"])
    main(["usage", "--read"])
    capsys.readouterr()
    assert main(["agents", "--json"]) == 0
    listed = {row["agent"]: row for row in json.loads(capsys.readouterr().out)["agents"]}
    assert len(listed) == 9
    assert (listed["claude-code"]["present"], listed["claude-code"]["hooks"]) == (True, ["user"])
    assert listed["claude-code"]["last_seen"]
    assert not listed["aider"]["hooks_possible"]
    assert main(["agents"]) == 0
    assert "the service reads its sessions" in capsys.readouterr().out


def test_unknown_agent_is_wrong_use(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown name is exit code 2 and names the known ones; nothing is installed."""
    assert main(["agents", "install", "claude-code", "clippy"]) == 2
    assert "claude-code, codex" in capsys.readouterr().err
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "9" * 100_000])
def test_jsonc_number_too_long_is_not_json(number: str) -> None:
    """A number that Python refuses is an error with its place, like every other one."""
    with pytest.raises(jsonc.NotJson, match=r"line 2, column 6: expected a number with fewer digits"):
        jsonc.parse(f'{{\n"a": {number}}}')
