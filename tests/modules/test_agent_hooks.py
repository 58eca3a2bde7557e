"""Hooks of coding agents from an inventory: installed by the real command line, and taken back as they were."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from hypertool.agents.installing.plans import HOOKED
from tests.support.ansible_module import ROOT, shared_code
from tests.support.hypertool_host import wait_until
from tests.support.loaded import loaded

as_user = shared_code("as_user")
HYPERTOOL = Path(sys.executable).with_name("hypertool")
MINE = '{\n  "theme": "dark"\n}\n'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process as a user: run this as root")


def library() -> ModuleType:
    return loaded(ROOT / "ansible/library/agent_hooks.py")


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The homes of this host: a user is there while its folder is; all are root, whose files no other test uses."""

    def known(name: str) -> pwd.struct_passwd:
        if not (tmp_path / name).is_dir():
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 0, 0, "", str(tmp_path / name), "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwnam", known)
    monkeypatch.setattr(os, "getgrouplist", lambda name, group: [group])
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def play(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """One run of the module; gives what it did and its problems."""
    module = library()
    monkeypatch.setattr(module.paths, "require_private", lambda folder: None)

    def run(*agents: str, users: tuple[str, ...] = ("ann",), check: bool = False, **more: str) -> Any:
        given = {"users": list(users), "agents": list(agents), "program": str(HYPERTOOL), "state": "present"}
        params = {**given, "record": str(homes / "install" / "hooks.json"), **more}
        hooks = module.Hooks(SimpleNamespace(check_mode=check, params=params))
        hooks.bring_about()
        return hooks

    return run


def files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_second_run_changes_nothing(play: Callable[..., Any], homes: Path) -> None:
    """The first run installs, a second one leaves every byte, and check mode says the same as the run after it."""
    looked = play("claude-code", "cline", check=True)
    assert files(homes) == {}
    done = play("claude-code", "cline")
    assert (done.done, done.problems) == (["ann: installed claude-code", "ann: installed cline"], [])
    assert looked.done == done.done
    before = files(homes)
    assert play("claude-code", "cline").done == play("claude-code", "cline", check=True).done == []
    assert files(homes) == before
    assert str(HYPERTOOL) in before["ann/.claude/settings.json"].decode()


def test_what_leaves_the_list_leaves_the_home(play: Callable[..., Any], homes: Path) -> None:
    """An agent, a user, and all of them at the uninstallation: each file is what it was, and no record stays."""
    (homes / "ann/.claude").mkdir()
    (homes / "ann/.claude/settings.json").write_text(MINE)
    before = files(homes)
    play("claude-code", "cline", users=("ann", "bob"))
    assert play("claude-code", users=("ann", "bob"), check=True).done == [
        "ann: uninstalled cline",
        "bob: uninstalled cline",
    ]
    assert play("claude-code").done == [
        "ann: uninstalled cline",
        "bob: uninstalled claude-code",
        "bob: uninstalled cline",
    ]
    assert play(state="absent").done == ["ann: uninstalled claude-code"]
    assert files(homes) == before


def test_hooks_of_a_users_own_stay(play: Callable[..., Any], homes: Path) -> None:
    """What a user installed before is not recorded as the play's, so the uninstallation leaves it."""
    as_user.answer("ann", [str(HYPERTOOL), "agents", "install", "codex", "--json"])
    before = files(homes)
    assert play("codex").done == []
    assert play(state="absent").done == []
    assert files(homes) == before


def test_all_are_those_that_a_user_has(play: Callable[..., Any], homes: Path) -> None:
    """Nothing is written for agents that a user does not have; one that comes later is hooked by the next run."""
    assert play("all").done == []
    session = homes / "ann/.claude/projects/-home-ann/1.jsonl"
    session.parent.mkdir(parents=True)
    session.write_text("")
    assert play("all").done == ["ann: installed claude-code"]
    assert play("all").done == []


def test_deleted_user_is_named(play: Callable[..., Any], homes: Path) -> None:
    """A user who is gone since is named once, and stops nothing."""
    play("codex", users=("ann", "bob"))
    for path in sorted((homes / "bob").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (homes / "bob").rmdir()
    assert play("codex").done == ["bob: this user is gone, and with it the hooks for codex"]
    assert play("codex").done == []


@pytest.mark.parametrize("content", [b"{broken", b"\xff\xfe", b"[]"])
def test_file_that_cannot_be_edited(content: bytes, play: Callable[..., Any], homes: Path) -> None:
    """It is left alone and named with its user, at every run; the other users and agents get their hooks."""
    (homes / "ann/.claude").mkdir()
    (homes / "ann/.claude/settings.json").write_bytes(content)
    done = play("claude-code", "codex", users=("ann", "bob"))
    assert done.done == ["ann: installed codex", "bob: installed claude-code", "bob: installed codex"]
    assert len(done.problems) == 1
    assert done.problems[0].startswith("ann: claude-code: ")
    assert "settings.json" in done.problems[0]
    again = play("claude-code", "codex", users=("ann", "bob"))
    assert (again.done, again.problems) == ([], done.problems)
    assert (homes / "ann/.claude/settings.json").read_bytes() == content


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        '{"results": 1, "problems": {"agent": "x"}}',
        '{"results": [{"agent": "$(touch /x)", "changed": true}, {"agent": 1}, 2]}',
        '{"problems": [{"agent": "codex", "problem": "\\u001b[2J\\n' + "x" * 999 + '"}]}',
    ],
)
def test_answer_of_a_hostile_user(said: str, play: Callable[..., Any], homes: Path) -> None:
    """What a user's process prints is no more than text: nothing is recorded, run or sent to a terminal."""
    program = homes / "fake"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    program.chmod(0o755)
    done = play("codex", program=str(program))
    assert done.done == []
    assert not (homes / "install").exists()
    for problem in done.problems:
        assert problem.isprintable()
        assert len(problem) < 600


def test_program_that_hangs(play: Callable[..., Any], homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that does not answer costs a minute and a warning; what the program had started ends too."""
    monkeypatch.setattr(as_user, "SECONDS", 3)
    program = homes / "fake"
    program.write_text("#!/bin/sh\nsleep 1000 & echo $! > $HOME/child; wait\n")
    program.chmod(0o755)
    assert "did not end within 3 s" in play("codex", program=str(program)).problems[0]
    child = Path(f"/proc/{(homes / 'ann/child').read_text().strip()}/stat")

    def ended() -> bool:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return child.read_text().split()[2] in "ZX"
        return True

    wait_until(ended, "the end of what the program had started", 20)


@pytest.mark.parametrize("writes", ["yes; :", "yes >&2; :", "exec >&- 2>&-; sleep 1000"], ids=["out", "err", "closed"])
def test_endless_output_is_not_kept(writes: str, homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user may take over a process that runs as this user: what it writes without end is not kept, and it ends."""
    monkeypatch.setattr(as_user, "SECONDS", 1)
    tracemalloc.start()
    try:
        with pytest.raises(as_user.HostError, match="did not end within 1 s"):
            as_user.answer("ann", ["/bin/sh", "-c", writes])
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_nothing_of_roots_environment(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's process sees its own home and name, and none of root's variables."""
    monkeypatch.setenv("SECRET_OF_ROOT", "1")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/root/.claude")
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    seen = as_user.answer("ann", [sys.executable, "-c", code])
    assert (seen["HOME"], seen["USER"]) == (str(homes / "ann"), "ann")
    assert not {"SECRET_OF_ROOT", "CLAUDE_CONFIG_DIR"} & set(seen)


def test_damaged_record_is_named(play: Callable[..., Any], homes: Path) -> None:
    """Without a readable record nothing is changed: it says which hooks are ours."""
    (homes / "install").mkdir()
    (homes / "install/hooks.json").write_text("[1]")
    with pytest.raises(Exception, match=r"hooks\.json is not readable as a record of installed hooks"):
        play("codex")
    assert files(homes / "ann") == {}


def test_role_knows_the_agents_with_hooks() -> None:
    """The role refuses names that the command line would, and no others."""
    variables = yaml.safe_load((ROOT / "ansible/roles/hypertool/vars/main.yml").read_text(encoding="utf-8"))
    assert sorted(variables["hypertool_hookable"]) == sorted(HOOKED)
    assert json.dumps(variables["hypertool_hookable"]) == json.dumps(sorted(variables["hypertool_hookable"]))
