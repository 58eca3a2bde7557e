"""Session files as nobody has recorded them: whatever becomes of the files, the ledger has each call once, exactly.

A model of a session invents calls and what happens to its files: growth in pieces, repeats, records and keys that no
reader knows, copies under other names (forks, moved projects), compaction, clocks that step, deletion.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hypertool.agents.ledger.attribution import Attribution
from hypertool.agents.ledger.ledger import Ledger
from hypertool.agents.reading.read import read_file
from hypertool.agents.reading.registry import reader
from hypertool.domain.personas import load_catalogue

Record = dict[str, Any]


class Made(NamedTuple):
    """One invented call: its number names it, `tokens` are input, cache read and output."""

    number: int
    tokens: tuple[int, int, int]
    at: str


def claude(call: Made) -> list[Record]:
    given_, cached, output = call.tokens
    usage = {"input_tokens": given_, "cache_read_input_tokens": cached, "output_tokens": output}
    head = {"type": "assistant", "sessionId": "s", "timestamp": call.at, "requestId": f"req_{call.number}"}
    first = {"id": f"msg_{call.number}", "model": "m", "usage": {**usage, "output_tokens": 1}}
    return [{**head, "message": first}, {**head, "message": {**first, "usage": usage}}]


def codex(call: Made) -> list[Record]:
    given_, cached, output = call.tokens
    usage = {"input_tokens": given_ + cached, "cached_input_tokens": cached, "output_tokens": output,
             "total_tokens": given_ + cached + output}  # fmt: skip
    info = {"type": "token_count", "info": {"last_token_usage": usage}}
    payload = {"response_id": f"resp_{call.number}", "usage": usage}
    return [{"type": "token_usage_record", "timestamp": call.at, "payload": payload},
            {"type": "event_msg", "timestamp": call.at, "payload": info}]  # fmt: skip


def copilot(call: Made) -> list[Record]:
    given_, cached, output = call.tokens
    usage = {"apiCallId": f"call_{call.number}", "inputTokens": given_ + cached, "cacheReadTokens": cached,
             "outputTokens": output, "model": "m"}  # fmt: skip
    return [{"type": "session.usage_record", "timestamp": call.at, "data": {"usage": usage}}]


def gemini(call: Made) -> list[Record]:
    given_, cached, output = call.tokens
    tokens = {"input": given_ + cached, "cached": cached, "output": output, "total": given_ + cached + output}
    answer = {"id": f"g-{call.number}", "type": "gemini", "timestamp": call.at, "model": "m"}
    return [answer, {**answer, "tokens": tokens}, {**answer, "tokens": tokens, "toolCalls": []}]


def qwen(call: Made) -> list[Record]:
    given_, cached, output = call.tokens
    event = {"event.name": "qwen-code.api_response", "response_id": f"q-{call.number}", "model": "m",
             "input_token_count": given_ + cached, "cached_content_token_count": cached,
             "output_token_count": output, "total_token_count": given_ + cached + output}  # fmt: skip
    head = {"sessionId": "s", "timestamp": call.at}
    return [{**head, "type": "system", "subtype": "ui_telemetry", "systemPayload": {"uiEvent": event}},
            {**head, "type": "assistant", "usageMetadata": {"promptTokenCount": given_}}]  # fmt: skip


def cline(calls: Iterable[Made]) -> Record:
    def message(call: Made) -> Record:
        given_, cached, output = call.tokens
        metrics = {"inputTokens": given_ + cached, "cacheReadTokens": cached, "outputTokens": output}
        return {"id": f"c-{call.number}", "role": "assistant", "ts": call.at, "metrics": metrics}

    return {"sessionId": "s", "messages": [{"role": "user"}, *map(message, calls)]}


def auggie(calls: Iterable[Made]) -> Record:
    def entry(call: Made) -> Record:
        given_, cached, output = call.tokens
        usage = {"input_tokens": given_, "cache_read_input_tokens": cached, "output_tokens": output}
        nodes = [{"type": 10, "token_usage": usage}, {"type": 9}, {"type": 77}]
        return {"exchange": {"request_id": f"a-{call.number}", "response_nodes": nodes}, "finishedAt": call.at}

    return {"sessionId": "s", "chatHistory": list(map(entry, calls))}


# Agent to its records of a call, and the first line of its files; or to its document.
LINES: dict[str, tuple[Callable[[Made], list[Record]], Record]] = {
    "claude-code": (claude, {"type": "summary"}),
    "codex": (codex, {"type": "session_meta", "payload": {"id": "s", "cli_version": "9.9.9"}}),
    "copilot-cli": (copilot, {"type": "session.start", "data": {"sessionId": "s", "copilotVersion": "9.9.9"}}),
    "gemini-cli": (gemini, {"sessionId": "s", "projectHash": "x"}),
    "qwen-code": (qwen, {"type": "system"}),
}
DOCUMENTS = {"cline": cline, "auggie": auggie}

times = st.sampled_from(
    ["2026-11-26T01:00:00.000Z", "2026-11-26T00:59:59.999Z", "1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "?", ""]
)
amounts = st.one_of(st.integers(0, 5), st.integers(0, 300_000))
made = st.builds(Made, st.just(0), st.tuples(amounts, amounts, amounts.map(lambda n: n + 1)), times)
text = st.text(st.characters(codec="utf-8"), max_size=20)
odd = st.recursive(st.none() | st.booleans() | st.integers() | text, lambda inner: st.lists(inner, max_size=3))
# Records that no reader knows, with words in them that make a reader look.
unknown = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "future.thing", "assistant.delta", "queue"]), "v2": odd},
    optional={"note": st.sampled_from(['"assistant"', '"tokens"', "ui_telemetry", '"subagent.', "token_count"])},
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), st.lists(made, min_size=1, max_size=4), st.integers(1, 4)),
        st.tuples(st.sampled_from(["repeat", "compact", "copy", "move", "truncate", "delete", "unknown"]), unknown),
    ),
    min_size=1,
    max_size=8,
)
few = settings(
    max_examples=20,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Follower:
    """Reads an agent's files into a ledger of its own, as hooks and the service do."""

    def __init__(self, agent: str, where: Path) -> None:
        self.agent, self.unrecognised = agent, 0
        self.ledger = Ledger(load_catalogue(), where)

    def look(self, *paths: Path) -> None:
        for path in paths:
            more = True
            while more:
                reading = read_file(reader(self.agent), str(path), self.ledger.position, 4096)
                more = reading.more
                self.unrecognised += len(reading.unrecognised)
                if reading.calls or reading.position is not None:
                    with self.ledger.writing():
                        self.ledger.ingest(self.agent, reading, "session_file", "", Attribution())

    def has(self) -> tuple[int, int, int, int]:
        query = "SELECT count(*), sum(input), sum(cache_read), sum(output + reasoning) FROM calls"
        row = self.ledger.connection.execute(query).fetchone()
        return (row[0], row[1] or 0, row[2] or 0, row[3] or 0)


def expected(calls: Iterable[Made]) -> tuple[int, int, int, int]:
    known = {call.number: call for call in calls}.values()
    return (len(known), *(sum(call.tokens[part] for call in known) for part in range(3)))  # type: ignore[return-value]


def distinct(steps_: list[Any]) -> list[Any]:
    """The same steps with another number for each call: an id is given once."""
    number, found = 0, []
    for kind, *rest in steps_:
        if kind == "grow":
            calls = []
            for call in rest[0]:
                number += 1
                calls.append(call._replace(number=number))
            rest = [calls, rest[1]]
        found.append((kind, *rest))
    return found


def encoded(records: Iterable[Record]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


@pytest.mark.parametrize("agent", LINES)
@given(steps=steps)
@few
def test_generated_lines_count_once(agent: str, steps: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever becomes of a file of lines, the ledger has what was written, each call once."""
    write, first = LINES[agent]
    folder = tmp_path_factory.mktemp("lines")
    follower = Follower(agent, folder / "ledger")
    current, calls = folder / "0.jsonl", []
    current.write_bytes(encoded([first]))
    for number, (kind, *rest) in enumerate(distinct(steps), 1):
        records = [record for call in calls for record in write(call)]
        half = [record for call in calls[len(calls) // 2 :] for record in write(call)]
        other = folder / f"{number}.jsonl"
        if kind == "grow":
            new, pieces = rest
            calls += new
            raw = encoded([{**record, "futureKey": {"tokens": 1}} for call in new for record in write(call)])
            for piece in range(pieces):
                with current.open("ab") as file:
                    file.write(raw[len(raw) * piece // pieces : len(raw) * (piece + 1) // pieces])
                follower.look(current)
        elif kind == "unknown":
            with current.open("ab") as file:
                file.write(encoded(rest) + b"\n")
        elif kind == "repeat":
            with current.open("ab") as file:
                file.write(encoded([first, *half]))
        elif kind in ("compact", "copy"):  # what is left of the session in a new file, or all of it in a second one
            other.write_bytes(encoded([first, *(half if kind == "compact" else records)]))
            if kind == "compact":
                os.replace(other, current)
            else:
                follower.look(other)
        elif kind == "move":
            current = current.rename(other)
        elif kind == "truncate":
            current.write_bytes(encoded([first]))
        else:
            current.unlink()
            follower.look(current)
            current.write_bytes(encoded([first]))
        follower.look(current)
    follower.look(*sorted(folder.glob("*.jsonl")))
    follower.ledger.close()
    again = Follower(agent, folder / "ledger")
    assert again.has() == expected(calls)
    assert follower.unrecognised == 0


@pytest.mark.parametrize("agent", DOCUMENTS)
@given(steps=steps)
@few
def test_generated_documents_count_once(agent: str, steps: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever becomes of a document that is rewritten as a whole, the ledger has each call once."""
    folder = tmp_path_factory.mktemp("documents")
    follower = Follower(agent, folder / "ledger")
    current, calls, shown = folder / "0.json", [], 0
    for kind, *rest in distinct(steps):
        if kind == "grow":
            calls += rest[0]
        elif kind in ("compact", "truncate"):
            shown = len(calls)
        raw = json.dumps({**DOCUMENTS[agent](calls[shown:]), "futureKey": rest[-1]}).encode()
        if kind in ("move", "copy"):
            (folder / "1.json").write_bytes(raw)
            follower.look(folder / "1.json")
        new = folder / "new"
        new.write_bytes(raw)
        os.replace(new, current)
        follower.look(current)
    assert follower.has() == expected(calls)
    assert follower.unrecognised == 0
    follower.ledger.close()
