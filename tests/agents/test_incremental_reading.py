"""Each reading goes on where the last one ended, whatever happened to the file in between."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from pathlib import Path

import pytest

from hypertool.agents.reading import lines
from hypertool.agents.reading.positions import Position
from hypertool.agents.reading.read import Reading, read_file
from hypertool.agents.reading.registry import reader
from tests.agents import homes


class Follower:
    """Reads one agent's file again and again, and remembers where it was."""

    def __init__(self, agent: str) -> None:
        self._reader = reader(agent)
        self._known: dict[tuple[int, int], Position] = {}

    def read(self, path: Path, limit: int = 1 << 30) -> Reading:
        reading = read_file(self._reader, str(path), lambda *key: self._known.get(key), limit)
        if reading.position is not None:
            self._known[reading.position.device, reading.position.inode] = reading.position
        return reading

    def totals(self, path: Path) -> list[int]:
        return [call.tokens.total for call in self.read(path).calls]


@pytest.fixture
def follower() -> Follower:
    return Follower("copilot-cli")


@pytest.fixture
def path(home: Path) -> Path:
    return homes.install(home, "copilot-cli")[0]


def test_nothing_new_is_nothing(follower: Follower, path: Path) -> None:
    """A second reading of an unchanged file tells of nothing."""
    assert follower.totals(path) == [1233, 1236, 1239, 1242, 1245]
    assert follower.totals(path) == []


@pytest.mark.parametrize("agent", homes.PLACES)
def test_byte_by_byte_growth_is_exact(agent: str, home: Path) -> None:
    """However a file grows, all its readings together tell of the same calls as one reading at the end."""
    path = homes.install(home, agent)[0]
    whole = path.read_bytes()
    expected = {call.keys: call.tokens for call in Follower(agent).read(path).calls}
    follower = Follower(agent)
    seen = {}
    path.write_bytes(b"")
    for end in range(0, len(whole) + 97, 97):
        with open(path, "r+b") as file:  # the inode stays
            file.write(whole[:end])
        for call in follower.read(path).calls:
            seen[call.keys] = call.tokens
    assert seen == expected


def test_incomplete_last_line_waits(follower: Follower, path: Path) -> None:
    """A line that is half written is read when it is whole."""
    whole = path.read_bytes()
    cut = whole.index(b"\n", whole.index(b"session.usage_record")) - 40
    path.write_bytes(whole[:cut])
    assert follower.totals(path) == []
    with open(path, "ab") as file:
        file.write(whole[cut:])
    assert follower.totals(path) == [1233, 1236, 1239, 1242, 1245]


def test_context_survives_between_readings(home: Path) -> None:
    """Codex names model and session once, at the start; lines that come later still have them."""
    path = homes.install(home, "codex")[0]
    whole = path.read_bytes()
    start = whole.index(b'{"timestamp": "2026-11-26T01:48:12.977Z"')
    path.write_bytes(whole[:start])
    follower = Follower("codex")
    follower.read(path)
    with open(path, "ab") as file:
        file.write(whole[start:])
    calls = follower.read(path).calls
    assert [(call.model, call.version) for call in calls] == [("gpt-5", "0.169.0")] * 2


def test_truncated_file_is_read_anew(follower: Follower, path: Path) -> None:
    """A file that became shorter is another file in the same place."""
    whole = path.read_bytes()
    follower.read(path)
    lines_ = whole.splitlines(keepends=True)
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(lines_[0] + lines_[1])
    assert follower.totals(path) == [1233]


def test_replaced_file_is_read_anew(follower: Follower, path: Path) -> None:
    """A file with another inode is another file, also where it is longer."""
    whole = path.read_bytes()
    follower.read(path)
    new = path.with_suffix(".new")
    new.write_bytes(whole + whole.splitlines(keepends=True)[1].replace(b"fake000001", b"fake000009"))
    os.replace(new, path)
    assert len(follower.totals(path)) == 6


def test_reused_inode_is_noticed(follower: Follower, path: Path) -> None:
    """The same inode with another beginning is another file, also where it is longer."""
    whole = path.read_bytes()
    follower.read(path)
    with open(path, "r+b") as file:
        file.write(b'{"type": "other"}\n' + whole)
    assert len(follower.totals(path)) == 5


def test_deleted_file_is_no_trouble(follower: Follower, path: Path) -> None:
    """A session that was deleted tells of nothing more."""
    follower.read(path)
    path.unlink()
    assert follower.totals(path) == []


def test_reading_is_bounded(follower: Follower, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reading takes a bounded number of bytes and says that there is more; the next ones go on."""
    monkeypatch.setattr(lines, "CHUNK", 1000)
    seen: list[int] = []
    for _ in range(100):
        reading = follower.read(path, limit=3000)
        seen += [call.tokens.total for call in reading.calls]
        if not reading.more:
            break
    assert seen == [1233, 1236, 1239, 1242, 1245]


def test_endless_line_is_skipped(follower: Follower, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the limit is counted as too large, not held in memory; the lines after it are read."""
    monkeypatch.setattr(lines, "CHUNK", 10_000)
    monkeypatch.setattr(lines, "MAX_LINE", 50_000)
    whole = path.read_bytes()
    path.write_bytes(b"x" * 200_000 + b"\n" + whole)
    reading = follower.read(path)
    assert [one.reason for one in reading.unrecognised] == ["too_large"]
    assert len(reading.calls) == 5


@pytest.mark.parametrize("agent", ["claude-code", "codex", "copilot-cli", "qwen-code"])
def test_unreadable_line_has_its_version(agent: str, home: Path) -> None:
    """A line that cannot be read is told with the version that the lines before it name."""
    path = homes.qwen_session(home, homes.qwen_record(1)) if agent == "qwen-code" else homes.install(home, agent)[0]
    with path.open("ab") as file:
        file.write(b'{"type": "assistant", "session.usage_record", "token_usage_record", ui_telemetry\n')
    [one] = Follower(agent).read(path).unrecognised
    assert (one.reason, bool(one.version)) == ("malformed", True)


def test_unrecognised_in_a_document_counts_once(home: Path) -> None:
    """A document is written anew at each message: what was not understood before is not counted again."""
    path = homes.install(home, "auggie")[0]
    document = json.loads(path.read_text())
    document["chatHistory"][0]["exchange"]["request_id"] = None
    path.write_text(json.dumps(document))
    follower = Follower("auggie")
    assert [one.reason for one in follower.read(path).unrecognised] == ["no_id"]
    document["chatHistory"].append({})
    path.write_text(json.dumps(document))
    assert follower.read(path).unrecognised == []


def test_database_goes_on_from_its_last_change(home: Path) -> None:
    """A message that is changed later comes again with its final usage, an old one does not."""
    path = homes.opencode_database(home, {f"msg_{n}": homes.opencode_message(n) for n in (1, 2)})
    follower = Follower("opencode")
    assert len(follower.read(path).calls) == 2
    homes.opencode_database(home, {"msg_3": homes.opencode_message(3)})
    assert [call.keys for call in follower.read(path).calls] == [("msg_2",), ("msg_3",)]


def test_database_reads_2100_of_one_millisecond(home: Path) -> None:
    """More messages of one millisecond than one reading takes are all read, and a reading then ends."""
    message = homes.opencode_message(1)
    path = homes.opencode_database(home, {f"msg_{n}": message for n in range(2100)})
    follower = Follower("opencode")
    for _ in range(2):
        readings = [follower.read(path)]
        while readings[-1].more:
            assert len(readings) < 5
            readings.append(follower.read(path))
        assert len({call.keys for reading in readings for call in reading.calls}) == 2100


def test_database_time_in_the_future_hides_nothing(home: Path) -> None:
    """A message from the year 33658 is read, and so is every later one."""
    future = homes.opencode_message(2, time={"completed": 10**15})
    path = homes.opencode_database(home, {"msg_1": homes.opencode_message(1), "msg_2": future})
    follower = Follower("opencode")
    assert {call.keys for call in follower.read(path).calls} == {("msg_1",), ("msg_2",)}
    homes.opencode_database(home, {"msg_3": homes.opencode_message(3)})
    assert ("msg_3",) in {call.keys for call in follower.read(path).calls}


@pytest.mark.parametrize("updated", ["zzz", b"\xff", 1.5, -1, "\ud800".encode("utf-8", "surrogatepass")])
def test_database_odd_time_counts_once(home: Path, updated: object) -> None:
    """A message whose time is no number is unrecognised, once; the others are read."""
    path = homes.opencode_database(home, {f"msg_{n}": homes.opencode_message(n) for n in (1, 2)})
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE message SET time_updated = ? WHERE id = 'msg_2'", (updated,))
    follower = Follower("opencode")
    first = follower.read(path)
    assert ([call.keys for call in first.calls], [one.reason for one in first.unrecognised]) == (
        [("msg_1",)],
        ["malformed"],
    )
    homes.opencode_database(home, {"msg_3": homes.opencode_message(3)})
    assert follower.read(path).unrecognised == []


ENDLESS = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT x"
ODD_SCHEMAS = {
    "endless message": f"DROP TABLE message; CREATE VIEW message AS {ENDLESS} id, x session_id, x time_updated, x data"
    " FROM t WHERE x < 0",
    "endless session": f"DROP TABLE session; CREATE VIEW session AS {ENDLESS} id, x parent_id, x version FROM t",
    "no message": "DROP TABLE message",
    "no rows' ids": "DROP TABLE message; CREATE TABLE message (id PRIMARY KEY, session_id, time_updated, data)"
    " WITHOUT ROWID",
    "huge value": "DROP TABLE message;"
    " CREATE TABLE message (id, session_id, time_updated, data AS (zeroblob(100000000)));"
    " INSERT INTO message VALUES ('a', 'b', 5)",
}


@pytest.mark.parametrize("kind", ODD_SCHEMAS)
def test_database_odd_schema_is_unrecognised(home: Path, kind: str) -> None:
    """A database that is built otherwise is unrecognised, soon, and raises nothing."""
    path = homes.opencode_database(home, {"msg_1": homes.opencode_message(1)})
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(ODD_SCHEMAS[kind])
    begun = time.monotonic()
    reading = Follower("opencode").read(path)
    assert (reading.calls, len(reading.unrecognised)) == ([], 1)
    assert time.monotonic() - begun < 10


def test_database_endless_query_is_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that does not end by itself is interrupted at the deadline."""
    path = homes.opencode_database(home, {"msg_1": homes.opencode_message(1)})
    module = reader("opencode")
    monkeypatch.setattr(module, "QUERY_SECONDS", 0.2)
    monkeypatch.setattr(module, "_CHANGED", f"{ENDLESS}, x, x, x, x, x, x FROM t WHERE x < min(?, ?, ?, ?)")
    assert [one.reason for one in Follower("opencode").read(path).unrecognised] == ["unreadable"]


def test_database_text_that_is_none_hides_no_other(home: Path) -> None:
    """A text that is no UTF-8 makes its own message unrecognised; sessions that are there twice multiply nothing."""
    path = homes.opencode_database(home, {f"msg_{n}": homes.opencode_message(n) for n in (1, 2)})
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE message SET data = CAST(x'7bff' AS TEXT) WHERE id = 'msg_1'")
        connection.execute("CREATE TABLE many AS SELECT * FROM session")
        connection.execute("DROP TABLE session")
        connection.execute("ALTER TABLE many RENAME TO session")
        connection.executemany("INSERT INTO session VALUES ('ses_1', NULL, '1')", [()] * 3000)
    reading = Follower("opencode").read(path)
    assert [call.keys for call in reading.calls] == [("msg_2",)]
    assert [one.reason for one in reading.unrecognised] == ["malformed"]
