"""What the hook does at each agent's events: it counts, binds, stops and warns in that agent's dialect."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hypertool.agents.ledger import location
from hypertool.agents.ledger.attribution import Attribution
from hypertool.cli import main
from hypertool.domain.instruments import AGENT_BLOCKED, AGENT_CALLS, AGENT_TOKENS, TOKENS
from tests.agents import homes
from tests.agents.hooking import call_hook, event, recorded_events, spend
from tests.agents.ledgers import counted, open_ledger, remaining
from tests.agents.test_ledger import FIGURES

# Agent, event, and how the agent is stopped there: exit code and the key of the answer that says so.
STOPS = [
    ("claude-code", "UserPromptSubmit", 2, None),
    ("claude-code", "PreToolUse", 0, ("continue", False)),
    ("claude-code", "PostToolUse", 0, ("continue", False)),
    ("codex", "UserPromptSubmit", 2, None),
    ("gemini-cli", "BeforeAgent", 2, None),
    ("gemini-cli", "BeforeModel", 2, None),
    ("copilot-cli", "userPromptSubmitted", 0, ("decision", "block")),
    ("cline", "PreToolUse", 0, ("cancel", True)),
    ("cline", "PostToolUse", 0, ("cancel", True)),
]
# Events at which an agent must not be answered anything that it could take for "go on" or "stop".
NEVER = [
    ("claude-code", "Stop"),
    ("claude-code", "SubagentStop"),
    ("claude-code", "SessionEnd"),
    ("codex", "Stop"),
    ("codex", "PostToolUse"),
    ("codex", "PreToolUse"),
    ("gemini-cli", "AfterAgent"),
    ("gemini-cli", "BeforeTool"),
    ("copilot-cli", "agentStop"),
    ("copilot-cli", "preToolUse"),
    ("cline", "TaskComplete"),
    ("auggie", "Stop"),
    ("auggie", "PreToolUse"),
]


@pytest.fixture
def blocking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every default persona's budget blocks."""
    config = tmp_path / "hypertool.toml"
    config.write_text('[personas.backend-engineer]\non_exceed = "block"\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))


def overspend(agent: str, home: Path) -> None:
    """The recorded session, bound to backend-engineer from its start, has used more than that budget."""
    homes.install(home, agent)
    name, given = recorded_events(agent, home)[0]
    if agent in ("auggie", "cline", "copilot-cli"):  # their files are found by the session's id
        given = {**given, "conversation_id": homes.session_file(home, agent).stem}
    done = call_hook(agent, name, given, HYPERTOOL_PERSONA="backend-engineer")
    assert done.returncode == 0


@pytest.mark.parametrize("agent", FIGURES)
def test_recorded_events_count_the_session(agent: str, home: Path) -> None:
    """All events of the recorded session, with its files in place: each call is counted once, no event stops it."""
    homes.install(home, agent)
    for name, given in recorded_events(agent, home):
        done = call_hook(agent, name, given)
        assert (done.returncode, done.stderr) == (0, "")
    assert (counted(AGENT_CALLS.key, agent), counted(AGENT_TOKENS.key, agent)) == FIGURES[agent]


@pytest.mark.parametrize("agent", ["claude-code", "gemini-cli"])
def test_next_session_counts_a_killed_one(agent: str, home: Path) -> None:
    """What a killed session wrote after its last hook is counted, as its own, when the project's next one begins."""
    name, given = recorded_events(agent, home)[0]
    assert call_hook(agent, name, given, HYPERTOOL_PERSONA="backend-engineer").returncode == 0
    homes.install(home, agent)
    assert counted(AGENT_CALLS.key, agent) == 0
    beside = Path(given["transcript_path"]).with_name("next.jsonl")
    following = {**given, "session_id": "next", "transcript_path": str(beside)}
    assert call_hook(agent, name, following, HYPERTOOL_PERSONA="data-scientist").returncode == 0
    calls, tokens = FIGURES[agent]
    assert counted(AGENT_CALLS.key, agent, "backend-engineer") == calls
    assert counted(AGENT_TOKENS.key, agent) == tokens


@pytest.mark.parametrize(("agent", "name", "code", "answer"), STOPS)
@pytest.mark.usefixtures("blocking")
def test_overspent_agent_is_stopped(
    agent: str, name: str, code: int, answer: tuple[str, object] | None, home: Path
) -> None:
    """With a budget that blocks, the agent gets the answer that really stops it, and the reason with every figure."""
    overspend(agent, home)
    done = call_hook(agent, name, event(agent, home, name))
    assert done.returncode == code
    if answer is not None:
        document = json.loads(done.stdout)
        assert document[answer[0]] == answer[1]
    said = done.stdout + done.stderr
    for part in ("backend-engineer", "2000 a run", "used", "full again", "--reset", "hypertool.toml"):
        assert part in said
    assert counted(AGENT_BLOCKED.key, agent, "backend-engineer") == 1


@pytest.mark.usefixtures("blocking")
def test_overspent_qwen_gets_no_tool_results(home: Path) -> None:
    """Qwen Code asks its prompt's hook before it sends the results of tools, too: that ends the turn."""
    homes.qwen_session(home, homes.qwen_record(1), homes.qwen_record(2))
    given = recorded_events("qwen-code", home)[5][1]
    done = call_hook("qwen-code", "UserPromptSubmit", given, HYPERTOOL_PERSONA="backend-engineer")
    assert (given["prompt"], json.loads(done.stdout)["decision"]) == ("", "block")


@pytest.mark.parametrize(("agent", "name"), NEVER)
@pytest.mark.usefixtures("blocking")
def test_end_of_a_turn_is_never_blocked(agent: str, name: str, home: Path) -> None:
    """At the end of a turn (an agent would go on and spend) and where nothing stops an agent, nothing blocks."""
    overspend(agent, home)
    given = event(agent, home, name)
    done = call_hook(agent, name, given)
    assert done.returncode == 0
    assert "block" not in done.stdout
    assert '"continue": false' not in done.stdout
    assert "cancel" not in done.stdout
    assert counted(AGENT_BLOCKED.key) == 0


@pytest.mark.parametrize(("agent", "name"), [(agent, name) for agent, name, _, _ in STOPS])
def test_budget_that_warns_stops_nobody(agent: str, name: str, home: Path) -> None:
    """With `on_exceed = "warn"` (the default) the agent goes on."""
    overspend(agent, home)
    done = call_hook(agent, name, event(agent, home, name))
    assert done.returncode == 0
    assert counted(AGENT_BLOCKED.key) == 0


def test_warning_reaches_the_agent_once(home: Path) -> None:
    """An overspent budget is reported once, as text for the model and for the person."""
    overspend("claude-code", home)
    given = event("claude-code", home, "PreToolUse")
    first, again = (call_hook("claude-code", "PreToolUse", given) for _ in range(2))
    answer = json.loads(first.stdout) if first.stdout else {}
    # The event that read the calls may have told of it already.
    told = [done.stdout for done in (first, again) if done.stdout]
    assert len(told) <= 1
    assert not answer or "backend-engineer" in answer["systemMessage"]


def test_subagent_is_held_to_its_own_persona(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sub-agent called `backend-engineer` is stopped by that budget; the main agent, another persona, goes on."""
    config = tmp_path / "hypertool.toml"
    config.write_text('[personas.backend-engineer]\non_exceed = "block"\n[personas.data-scientist]\ntokens = 100000\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    homes.install(home, "claude-code")
    calls = [given for name, given in recorded_events("claude-code", home) if name == "PreToolUse"]
    main_call = call_hook("claude-code", "PreToolUse", calls[0], HYPERTOOL_PERSONA="data-scientist")
    sub_call = call_hook("claude-code", "PreToolUse", next(given for given in calls if "agent_type" in given))
    assert (main_call.returncode, main_call.stdout) == (0, "")
    assert json.loads(sub_call.stdout)["continue"] is False


def test_switch_in_mid_session_splits_the_calls(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tta-persona switch` in the agent's shell binds that session: calls before it keep the persona before."""
    path = homes.install(home, "copilot-cli")[0]
    lines = path.read_text().splitlines(keepends=True)
    given = event("copilot-cli", home, "preToolUse")
    monkeypatch.chdir(home / "project")
    session = "4de4c62c-9093-4889-a4c4-a1537bd4d2db"
    assert main(["switch", "backend-engineer"]) == 0
    path.write_text("".join(lines[:3]))
    call_hook("copilot-cli", "preToolUse", given)
    with monkeypatch.context() as shell:
        shell.setenv("COPILOT_AGENT_SESSION_ID", session)
        assert main(["switch", "testing-specialist", "--chatmode", "bug-validation"]) == 0
    later = [line.replace("2026-11-26T", "2126-11-26T") for line in lines[3:5]]  # made after the switch
    path.write_text("".join([*lines[:3], *later]))
    call_hook("copilot-cli", "preToolUse", given)
    assert counted(TOKENS.key, "backend-engineer") == 1233 + 1236
    assert counted(TOKENS.key, "testing-specialist", "bug-validation") == 1239 + 1242


def test_calls_read_after_a_switch_keep_their_persona(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that were made before the first switch in a session, but read after it, are not the new persona's."""
    homes.install(home, "claude-code")
    event_ = event("claude-code", home, "PreToolUse")
    monkeypatch.chdir(home / "project")
    main(["switch", "data-scientist"])
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", homes.CLAUDE_SESSION)
    main(["switch", "testing-specialist"])
    call_hook("claude-code", "PreToolUse", event_)
    assert counted(TOKENS.key, "testing-specialist") == 0
    assert counted(TOKENS.key, "data-scientist") == sum(1237 + 4 * n for n in (1, 2, 3, 6))
    assert counted(TOKENS.key, "backend-engineer") == sum(1237 + 4 * n for n in (4, 5))


def test_sessions_of_a_workspace_do_not_mix(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch in one session of a workspace leaves the other session's persona alone."""
    given = event("claude-code", home, "SessionStart")
    monkeypatch.chdir(home / "project")
    main(["switch", "backend-engineer"])
    for session in ("one", "two"):
        call_hook("claude-code", "SessionStart", {**given, "session_id": session})
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "one")
    main(["switch", "devops-engineer"])
    ledger = open_ledger()
    now = ledger.now() + 1
    assert ledger.binding("claude-code", "one", now) == Attribution("devops-engineer", "default")
    assert ledger.binding("claude-code", "two", now) == Attribution("backend-engineer", "default")


def test_switch_in_a_terminal_moves_its_followers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's switch in the workspace moves the sessions that follow it, not one that chose its own persona."""
    given = event("claude-code", home, "SessionStart")
    monkeypatch.chdir(home / "project")
    main(["switch", "backend-engineer"])
    call_hook("claude-code", "SessionStart", {**given, "session_id": "follows"})
    call_hook("claude-code", "SessionStart", {**given, "session_id": "own"}, HYPERTOOL_PERSONA="data-scientist")
    main(["switch", "devops-engineer"])
    ledger = open_ledger()
    now = ledger.now() + 1
    assert ledger.binding("claude-code", "follows", now) == Attribution("devops-engineer", "default")
    assert ledger.binding("claude-code", "own", now) == Attribution("data-scientist", "default")


@pytest.mark.parametrize(
    "raw",
    [b"", b"not json", b"[]", b"null", b'{"session_id": 5, "cwd": []}', b'{"session_id": "\\ud800"}', b"{" * 100_000],
)
@pytest.mark.parametrize("agent", ["claude-code", "cline", "nobody"])
def test_strange_input_stops_no_agent(agent: str, raw: bytes, home: Path) -> None:
    """Whatever arrives, the hook ends with 0 and says nothing."""
    done = call_hook(agent, "UserPromptSubmit", raw)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("arguments", [[], ["claude-code"], ["--help"], ["claude-code", "Stop", "more"]])
def test_wrong_use_stops_no_agent(arguments: list[str], home: Path) -> None:
    """Exit code 2 would stop some agents: a wrong command line must not end in it."""
    import subprocess

    from tests.agents.hooking import HYPERTOOL

    done = subprocess.run([str(HYPERTOOL), "hook", *arguments], input=b"{}", capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.usefixtures("blocking")
def test_broken_parts_stop_no_agent(home: Path, tmp_path: Path) -> None:
    """A ledger that cannot be opened, a broken configuration, a store that is a file: the agent goes on."""
    overspend("claude-code", home)
    given = event("claude-code", home, "UserPromptSubmit")
    (tmp_path / "broken.toml").write_text("[[[")
    (tmp_path / "a-file").write_text("")
    for environment in (
        {"HYPERTOOL_CONFIG": str(tmp_path / "broken.toml")},
        {"HYPERTOOL_STATE_DIR": str(tmp_path / "a-file")},
        {"HYPERTOOL_STATE_DIR": "/proc/nowhere"},
        {"HYPERTOOL_DISABLED": "1"},
    ):
        done = call_hook("claude-code", "UserPromptSubmit", given, **environment)
        assert done.returncode == 0


def test_locked_ledger_makes_no_agent_wait(home: Path) -> None:
    """While another process holds the ledger, the hook gives up soon; the next one counts what it left."""
    homes.install(home, "claude-code")
    given = event("claude-code", home, "PreToolUse")
    open_ledger().close()
    holder = sqlite3.connect(location.directory() / "ledger.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert call_hook("claude-code", "PreToolUse", given).returncode == 0
    assert counted(AGENT_CALLS.key) == 0
    holder.execute("ROLLBACK")
    holder.close()
    call_hook("claude-code", "PreToolUse", given)
    assert counted(AGENT_CALLS.key) == 6


@pytest.mark.parametrize("whose", ["bound", "run", "switched"])
@pytest.mark.usefixtures("blocking")
def test_locked_ledger_stops_all_the_same(whose: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget of the day that is used up stops the agent, even while another process holds the ledger.

    Also at a session's first event, whose persona is that of `hypertool run` or the workspace's.
    """
    config = Path(os.environ["HYPERTOOL_CONFIG"])
    config.write_text('[personas.backend-engineer]\ntokens = 1000\nwindow = "day"\non_exceed = "block"\n')
    given = event("copilot-cli", home, "userPromptSubmitted")
    started = {"HYPERTOOL_PERSONA": "backend-engineer"} if whose != "switched" else {}
    if whose == "bound":
        call_hook("copilot-cli", "sessionStart", given, **started)
    if whose == "switched":
        monkeypatch.chdir(given["cwd"])
        assert main(["switch", "backend-engineer"]) == 0
    spend("backend-engineer", 1000)
    open_ledger().close()
    holder = sqlite3.connect(location.directory() / "ledger.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = call_hook("copilot-cli", "userPromptSubmitted", given, **started)
    holder.close()
    assert json.loads(done.stdout)["decision"] == "block"


def test_ended_session_is_not_active(home: Path) -> None:
    """After the event that ends it, a session's budget is that of the last run that ended."""
    homes.install(home, "claude-code")
    for name in ("SessionStart", "SessionEnd"):
        call_hook("claude-code", name, event("claude-code", home, name), HYPERTOOL_PERSONA="backend-engineer")
    row = open_ledger().connection.execute("SELECT ended FROM sessions").fetchone()
    assert row == (1,)
    assert remaining() == 2000 - FIGURES["claude-code"][1]


def test_hook_imports_nothing_heavy(home: Path) -> None:
    """What costs milliseconds stays out of a hook's way, up to `typing`, `datetime` and `urllib.parse`."""
    path = homes.install(home, "claude-code")[0]
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    given = event("claude-code", home, "PreToolUse")
    call_hook("claude-code", "PreToolUse", given)  # the first one also admits new label values
    path.write_bytes(whole)
    code = (
        "import os, sys; from hypertool.agents.hooks import hook\n"
        "heavy = {'typing', 'datetime', 'urllib.parse', 'threading', 'logging', 'argparse', 'dataclasses',"
        " 'subprocess', 'socket', 'asyncio', 'opentelemetry', 'google', 'prometheus_client', 'hypertool.llm',"
        " 'hypertool.metrics'}\n"
        "os._exit = lambda code: print(sorted(heavy & set(sys.modules)))\n"
        "hook.run_alone(['claude-code', 'PreToolUse'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
        input=json.dumps(given).encode(),
        capture_output=True,
        env=dict(os.environ),
        check=True,
    )
    assert done.stdout.decode().splitlines()[-1] == "[]"
    assert counted(AGENT_CALLS.key) == 6
