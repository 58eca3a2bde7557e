"""`tta-persona switch` finds its session by the agent's process where the agent's shell does not name it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.agents.hooking import HYPERTOOL
from tests.agents.ledgers import open_ledger


def switch_below(agent: str, prepare: str, project: Path) -> Any:
    """What a switch says in a shell of a process that is called like the agent; `prepare` is run there before."""
    switch = f"{shlex.quote(str(HYPERTOOL))} switch testing --json"
    shell = f"{prepare}\nsh -c {shlex.quote(switch)}; exit $?"  # Not the last command: the shell must stay.
    done = subprocess.run(
        ["bash", "-c", f"exec -a {agent} bash -c {shlex.quote(shell)}"],
        cwd=project,
        env={**os.environ, "HYPERTOOL_PERSONA": "data-scientist", "HYPERTOOL_WORKFLOW": "bug_fix"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout).get("agent_session")


def cline_session(home: Path, name: str, process: str) -> str:
    """Shell code that writes Cline's file of a session of that process."""
    folder = home / ".cline/data/sessions" / name
    document = json.dumps({"session_id": name, "pid": "PID"}).replace('"PID"', f"'{process}'")
    return f"mkdir -p {folder}; echo '{document}' > {folder}/{name}.json\n"


def test_cline_session_by_its_process(home: Path, project: Path) -> None:
    """The session whose file names the process is bound: what it did before keeps the persona that it began with."""
    prepare = cline_session(home, "other", "1") + cline_session(home, "mine", "$$")
    bound = switch_below("cline", prepare, project)
    assert bound == {"agent": "cline", "session": "mine"}
    ledger = open_ledger()
    first, now = ledger.binding("cline", "mine", 1.0), ledger.binding("cline", "mine", time.time())
    assert first is not None
    assert now is not None
    assert (first.persona, first.workflow) == ("data-scientist", "bug_fix")
    assert (now.persona, now.workflow) == ("testing-specialist", "bug_fix")
    assert ledger.binding("cline", "other", time.time()) is None


def chat(home: Path, name: str, root: Path, age: float = 0.0) -> None:
    """A chat of Gemini CLI in the folder of the project `root`, last written `age` seconds ago."""
    folder = home / ".gemini/tmp" / root.name
    (folder / "chats").mkdir(parents=True, exist_ok=True)
    (folder / ".project_root").write_text(str(root))
    path = folder / "chats" / f"session-{name}.jsonl"
    path.write_text(json.dumps({"sessionId": name, "projectHash": "x"}) + "\n")
    os.utime(path, (time.time() - age,) * 2)


def test_gemini_chat_of_its_project(home: Path, project: Path) -> None:
    """The one chat of the process's project that was written since its start is bound."""
    chat(home, "mine", project, -1)
    chat(home, "before", project, 60)
    chat(home, "elsewhere", project.parent / "other", -1)
    assert switch_below("gemini", "", project) == {"agent": "gemini-cli", "session": "mine"}


def test_two_gemini_chats_are_not_guessed(home: Path, project: Path) -> None:
    """Two chats of one project that are both being written: none is bound."""
    chat(home, "one", project, -1)
    chat(home, "two", project, -1)
    assert switch_below("gemini", "", project) is None


def hooked(agent: str, event: str, **given: str) -> str:
    """Shell code that tells a hook of an event."""
    return f"echo {shlex.quote(json.dumps(given))} | {shlex.quote(str(HYPERTOOL))} hook {agent} {event}\n"


def test_hooks_tell_two_gemini_chats_apart(home: Path, project: Path) -> None:
    """Two chats of one project at once: a process's own hooks say which is its, also after `/clear`."""
    chat(home, "one", project, -1)
    chat(home, "two", project, -1)
    first = hooked("gemini-cli", "SessionStart", session_id="one", cwd=str(project))
    cleared = first + hooked("gemini-cli", "SessionStart", session_id="two", cwd=str(project))
    assert switch_below("gemini", first, project) == {"agent": "gemini-cli", "session": "one"}
    assert switch_below("gemini", cleared, project) == {"agent": "gemini-cli", "session": "two"}
    assert switch_below("gemini", "", project) is None, "another process"


def auggie_session(home: Path, name: str, age: float = 0.0) -> None:
    """Auggie's file of a session, last written `age` seconds ago."""
    path = home / ".augment/sessions" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    os.utime(path, (time.time() - age,) * 2)


def test_auggie_session_without_hooks(home: Path, project: Path) -> None:
    """The one session that was written since the process's start is bound, also when it comes late; of two, none."""
    auggie_session(home, "before", 60)
    auggie_session(home, "mine", -1)
    assert switch_below("auggie", "", project) == {"agent": "auggie", "session": "mine"}
    auggie_session(home, "other", -1)
    assert switch_below("auggie", "", project) is None
    shutil.rmtree(home / ".augment")
    late = home / ".augment/sessions/late.json"
    prepare = f"mkdir -p {late.parent}; (sleep 0.2; echo '{{}}' > {late}) &"
    assert switch_below("auggie", prepare, project) == {"agent": "auggie", "session": "late"}


def test_auggie_session_by_its_hooks(home: Path, project: Path) -> None:
    """The session that began in the process is bound, and no sub-agent's conversation, which has no file."""
    auggie_session(home, "mine", -1)
    auggie_session(home, "other", -1)
    root = str(project)
    prepare = hooked("auggie", "SessionStart", conversation_id="mine", cwd=root)
    prepare += hooked("auggie", "PostToolUse", conversation_id="sub", cwd=root)
    assert switch_below("auggie", prepare, project) == {"agent": "auggie", "session": "mine"}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1, 2]", b'{"pid": [', b'{"pid": "$$", "session_id": 7}'])
def test_broken_session_file_binds_nothing(content: bytes, home: Path, project: Path) -> None:
    """A session file that cannot be understood, or a link in its place, binds nothing and breaks nothing."""
    folder = home / ".cline/data/sessions/odd"
    folder.mkdir(parents=True)
    (folder / "odd.json").write_bytes(content)
    linked = home / ".cline/data/sessions/linked"
    linked.mkdir()
    (linked / "linked.json").symlink_to(home / "target.json")
    prepare = f'echo \'{{"pid": \'$$\', "session_id": "stolen"}}\' > {home}/target.json; touch {folder}/odd.json'
    assert switch_below("cline", prepare, project) is None


def test_other_programs_are_no_agents(home: Path, project: Path) -> None:
    """A process with another name has no session, whatever its arguments are."""
    assert switch_below("vim", cline_session(home, "mine", "$$") + "set -- cline", project) is None
