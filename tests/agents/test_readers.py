"""What each agent's session files say, to the token, and what a reader does with what it does not know."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from hypertool.agents.calls import AgentCall, Tokens, seconds
from hypertool.agents.reading.read import Reading, read_file
from hypertool.agents.reading.registry import AGENTS, reader
from tests.agents import homes

# Agent to its recorded calls: their numbers at the server, and what the server reported of each kind as it is kept.
ANTHROPIC = {n: Tokens(1000 + n, 30 + n, 7 + n, 200 + n, 0) for n in range(1, 7)}
OPENAI = {n: Tokens(1000 + n, 30 + n, 0, 200 + n - (5 + n), 5 + n) for n in range(1, 7)}
GEMINI = {n: Tokens(1000 + n, 30 + n, 0, 200 + n, 5 + n) for n in range(1, 7)}
CLINE = {n: Tokens(1000 + n, 30 + n, 0, 200 + n, 0) for n in range(1, 7)}
RECORDED = {
    "claude-code": [ANTHROPIC[n] for n in (1, 2, 3, 6, 4, 5)],
    "codex": [OPENAI[n] for n in (1, 2, 3, 4)],
    "copilot-cli": [OPENAI[n] for n in (1, 2, 3, 4, 5)],
    "gemini-cli": [GEMINI[n] for n in (2, 3, 4)],
    "cline": [CLINE[n] for n in (1, 2)],
    "auggie": [ANTHROPIC[n] for n in (1, 2, 3)],
}


def read_all(agent: str, home: Path) -> list[Reading]:
    """Every file of that agent's sessions in a home, read once."""
    module = reader(agent)
    return [read_file(module, path, lambda *_: None) for path in module.locations(str(home), {})]


def calls_of(agent: str, home: Path) -> list[AgentCall]:
    readings = read_all(agent, home)
    assert [reading.unrecognised for reading in readings] == [[] for _ in readings]
    return [call for reading in readings for call in reading.calls]


@pytest.mark.parametrize("agent", RECORDED)
def test_recorded_session_to_the_token(agent: str, home: Path) -> None:
    """Every call of the recorded session is read once, each kind of token as the server reported it."""
    homes.install(home, agent)
    assert [call.tokens for call in calls_of(agent, home)] == RECORDED[agent]


@pytest.mark.parametrize("agent", RECORDED)
def test_calls_have_model_session_time(agent: str, home: Path) -> None:
    """Every call has what the ledger needs: an id, a session and a time; a model where the agent writes it."""
    homes.install(home, agent)
    for call in calls_of(agent, home):
        assert call.session
        assert call.keys
        assert 1795656000 < call.at < 1795660000
        assert call.model or agent == "auggie"


@pytest.mark.parametrize(
    ("agent", "names"),
    [
        ("claude-code", ["", "", "", "", "backend-engineer", "backend-engineer"]),
        ("codex", ["", "", "", "worker"]),
    ],
)
def test_subagents_have_their_names(agent: str, names: list[str], home: Path) -> None:
    """A sub-agent's calls carry its name and belong to the main agent's session."""
    homes.install(home, agent)
    calls = calls_of(agent, home)
    assert [call.subagent for call in calls] == names
    assert len({call.session for call in calls}) == 1


def test_copilot_subagent_is_named_by_its_start(home: Path) -> None:
    """Copilot CLI names a sub-agent once, when it starts; its calls carry the id alone."""
    [path] = homes.install(home, "copilot-cli")
    lines = path.read_text().splitlines()
    started = {
        "type": "subagent.started",
        "agentId": "2ebbf5ff-d8be-446a-a930-6c4d327aa094",
        "data": {"toolCallId": "call_000003", "agentName": "backend-engineer"},
    }
    path.write_text("\n".join([*lines[:4], json.dumps(started), *lines[4:], ""]))
    assert [call.subagent for call in calls_of("copilot-cli", home)] == ["", "", "", "backend-engineer", ""]


def test_cline_subagents_are_their_sessions(home: Path) -> None:
    """A sub-agent of Cline has a file and an id of its own; its calls belong to the session that has started it."""
    main = homes.install(home, "cline")[0]
    document = json.loads(main.read_text())
    session = document["sessionId"]
    own = f"{session}__agent_1795709752984_n75gqe"
    for message in document["messages"]:
        message["id"] += "x"
    document.update(agent="subagent", sessionId=own)
    document["origin"] = {"source": "cli", "mode": "subagent", "sessionId": own, "parentThreadId": session}
    (main.parent / "agent_1795709752984_n75gqe.messages.json").write_text(json.dumps(document))
    calls = calls_of("cline", home)
    assert {call.session for call in calls} == {session}
    assert sorted(call.subagent for call in calls) == ["", "", "subagent", "subagent"]


def test_gemini_subagents_are_their_sessions(home: Path) -> None:
    """A sub-agent's chat of Gemini CLI is in the folder of its session, however much of it was read before."""
    main = homes.install(home, "gemini-cli")[0]
    session = json.loads(main.read_text().splitlines()[0])["sessionId"]
    own = main.parent / session / "1be39798-5aec-4d16-82ff-2c04a1bda2d0.jsonl"
    own.parent.mkdir()
    own.write_text(main.read_text().replace(session, own.stem).replace('"id": "', '"id": "x'))
    calls = calls_of("gemini-cli", home)
    assert {call.session for call in calls} == {session}
    assert sorted({call.subagent_id for call in calls}) == ["", own.stem]


@pytest.mark.parametrize(("shape", "expected"), [("openai", OPENAI), ("gemini", GEMINI)])
def test_qwen_thoughts_follow_the_total(shape: str, expected: dict[int, Tokens], home: Path) -> None:
    """Qwen Code's thoughts are part of the output or beside it, as the provider's total says."""
    homes.qwen_session(home, *(homes.qwen_record(n, shape=shape) for n in (1, 2)))
    assert [call.tokens for call in calls_of("qwen-code", home)] == [expected[1], expected[2]]


def test_opencode_reads_its_database(home: Path) -> None:
    """A message of an assistant is a call; a user's message and one without usage yet are none."""
    nothing_yet = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
    homes.opencode_database(
        home,
        {
            "msg_1": homes.opencode_message(1),
            "msg_2": {"role": "user"},
            "msg_3": homes.opencode_message(3, agent="backend-engineer"),
            "msg_4": homes.opencode_message(4, tokens=nothing_yet),
        },
    )
    calls = calls_of("opencode", home)
    assert [(call.keys, call.tokens, call.subagent) for call in calls] == [
        (("msg_1",), OPENAI[1], ""),
        (("msg_3",), OPENAI[3], "backend-engineer"),
    ]


def test_opencode_call_is_when_its_usage_came(home: Path) -> None:
    """A message that is not complete has the time of its row: it may have been begun long before the call."""
    message = homes.opencode_message(1, time={"created": 1795659000000})
    path = homes.opencode_database(home, {"msg_1": message})
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE message SET time_updated = 1795659030500")
    connection.close()
    assert [call.at for call in calls_of("opencode", home)] == [1795659030.5]


def test_opencode_total_is_checked(home: Path) -> None:
    """A total that is not the sum of its parts is counted as inconsistent, not guessed."""
    data = homes.opencode_message(1)
    data["tokens"]["total"] = 1
    homes.opencode_database(home, {"msg_1": data})
    [reading] = read_all("opencode", home)
    assert (reading.calls, [one.reason for one in reading.unrecognised]) == ([], ["inconsistent"])


def test_aider_log_has_no_ids(home: Path, tmp_path: Path) -> None:
    """Aider's log has no ids: the place of a line in it is the key, the same at every reading."""
    log = tmp_path / "aider.jsonl"
    send = {"event": "message_send", "time": 1795659000, "properties": {"main_model": "gpt-4.1", "prompt_tokens": 1032,
            "completion_tokens": 201, "total_tokens": 1233}}  # fmt: skip
    log.write_text("".join(json.dumps(one) + "\n" for one in ({"event": "launched", "time": 1795658990}, send, send)))
    module = reader("aider")
    [path] = module.locations(str(home), {"AIDER_ANALYTICS_LOG": str(log)})
    first, again = (read_file(module, path, lambda *_: None) for _ in range(2))
    assert [call.tokens.total for call in first.calls] == [1233, 1233]
    assert len({call.keys for call in first.calls}) == 2
    assert first.calls == again.calls


def test_claude_last_usage_of_a_message_wins(home: Path) -> None:
    """While a message streams its lines carry the usage so far: the last one counts, once."""
    path = homes.install(home, "claude-code")[0]
    line = json.loads(path.read_text().splitlines()[0])
    early = json.loads(json.dumps(line))
    early["message"]["usage"]["output_tokens"] = 1
    path.write_text(json.dumps(early) + "\n" + json.dumps(line) + "\n")
    [call] = read_file(reader("claude-code"), str(path), lambda *_: None).calls
    assert call.tokens == ANTHROPIC[1]


def test_claude_synthetic_answers_are_no_calls(home: Path) -> None:
    """An error that the client shows as an answer called no model."""
    path = homes.install(home, "claude-code")[0]
    line = json.loads(path.read_text().splitlines()[0])
    line["message"]["model"] = "<synthetic>"
    path.write_text(json.dumps(line) + "\n")
    reading = read_file(reader("claude-code"), str(path), lambda *_: None)
    assert (reading.calls, reading.unrecognised) == ([], [])


@pytest.mark.parametrize("agent", RECORDED)
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [(-1, "inconsistent"), (1.5, "inconsistent"), ("1032", "inconsistent"), (10**30, "inconsistent")],
)
def test_impossible_figures_are_not_counted(agent: str, wrong: object, reason: str, home: Path) -> None:
    """A count that is no count makes the call unrecognised; the calls around it are still read."""
    path = homes.install(home, agent)[0]
    keys = ("input_tokens", "inputTokens", "input")

    def spoil(value: object, done: list[bool]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in keys and isinstance(inner, int) and not done:
                    value[key] = wrong
                    done.append(True)
                spoil(inner, done)
        elif isinstance(value, list):
            for inner in value:
                spoil(inner, done)

    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        spoil(lines, [])
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        document = json.loads(path.read_text())
        spoil(document, [])
        path.write_text(json.dumps(document))
    reading = read_file(reader(agent), str(path), lambda *_: None)
    assert reason in [one.reason for one in reading.unrecognised]
    assert reading.calls


def test_codex_before_usage_records_is_unrecognised(home: Path) -> None:
    """A Codex that writes `token_count` events only has no ids: counted as not understood, with its version."""
    path = homes.install(home, "codex")[0]
    lines = [line for line in path.read_text().splitlines() if "token_usage_record" not in line]
    path.write_text("\n".join([*lines, ""]))
    reading = read_file(reader("codex"), str(path), lambda *_: None)
    assert reading.calls == []
    assert {(one.reason, one.version) for one in reading.unrecognised} == {("no_id", "0.169.0")}


@pytest.mark.parametrize("agent", AGENTS)
def test_no_reader_minds_an_empty_home(agent: str, home: Path) -> None:
    """An agent that is not installed has no sessions."""
    assert read_all(agent, home) == []


@pytest.mark.parametrize("agent", RECORDED)
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{", b"[]\n", b"null\n", b'{"a":' * 5000, b"\xff\xfe\n", b"\0" * 4096]
)
def test_rubbish_is_survived(agent: str, content: bytes, home: Path) -> None:
    """Whatever is in a file, a reader ends with no calls."""
    path = homes.install(home, agent)[0]
    path.write_bytes(content)
    assert read_file(reader(agent), str(path), lambda *_: None).calls == []


def test_links_and_pipes_are_not_opened(home: Path, tmp_path: Path) -> None:
    """A link, a pipe, a folder or a device in a session's place is not followed, opened or waited for."""
    path = homes.install(home, "claude-code")[0]
    elsewhere = tmp_path / "elsewhere.jsonl"
    path.rename(elsewhere)
    module = reader("claude-code")
    path.symlink_to(elsewhere)
    assert read_file(module, str(path), lambda *_: None).calls == []
    path.unlink()
    os.mkfifo(path)
    assert read_file(module, str(path), lambda *_: None).calls == []


def test_other_users_files_are_not_read(home: Path) -> None:
    """A file that belongs to another user is not read, also by root."""
    path = homes.install(home, "claude-code")[0]
    if os.geteuid() != 0:
        pytest.skip("needs root to give a file to another user")
    os.chown(path, 12345, 12345)
    assert read_file(reader("claude-code"), str(path), lambda *_: None).calls == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-26T01:36:19.898Z", 1795656979.898),
        ("2026-11-26T01:36:19Z", 1795656979.0),
        ("2026-11-26T02:36:19.898+01:00", 1795656979.898),
        ("2024-02-29T00:00:00Z", 1709164800.0),
        (1795656979898, 1795656979.898),
        (1795656979, 1795656979.0),
        ("yesterday", 0.0),
        (None, 0.0),
        (True, 0.0),
        (-5, 0.0),
    ],
)
def test_times_are_understood(written: object, expected: float) -> None:
    """ISO 8601 and both kinds of epoch time; anything else is unknown."""
    assert seconds(written) == pytest.approx(expected)
