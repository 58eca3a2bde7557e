"""One snapshot that says something impossible: it alone is refused, and every counter of the host stays."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hypertool.store.archive import Archive
from hypertool.store.directory import StateDirectory
from hypertool.store.snapshot_format import MAX_BYTES
from tests.support.store_writers import Process, store, total

WHOLE: dict[str, Any] = {"v": 1, "t": 1.0, "c": [], "h": [], "m": [], "s": [], "a": [], "e": [], "w": [], "l": []}
ACTIVE = {"a": [["backend-engineer", 5, 0]]}
CASES: dict[str, dict[str, Any]] = {
    "start -1": {**ACTIVE, "t": -1},
    "start NaN": {**ACTIVE, "t": float("nan")},
    "start 1e13": {**ACTIVE, "t": 1e13},
    "start 2**64": {**ACTIVE, "t": 2**64},
    "start as text": {**ACTIVE, "t": "1"},
    "start of 400 digits": {**ACTIVE, "t": 10**400},
    "count near the limit": {"c": [["tok", "p", "c", "m", 2**63]]},
    "count of 400 digits": {"c": [["tok", "p", "c", "m", 10**400]]},
    "sum near the limit": {"h": [["st", "w", "s", "p", [0] * 13, 2**63, {}]]},
    "window in minutes": {"w": [["p", 1, 0, 2**63]]},
    "infinite reset": {"a": [["p", 1, 2**63]]},
    "too many rows": {"c": [["tok", "p", "c", f"m{row}", 1] for row in range(5001)]},
    "exemplar of no bucket": {"h": [["st", "w", "s", "p", [0] * 13, 5, {"99": ["a" * 32, "b" * 16, 1.0, 1.0]}]]},
    "trace that is markup": {"h": [["st", "w", "s", "p", [0] * 13, 5, {"0": ["<" * 32, "b" * 16, 1.0, 1.0]}]]},
}


def leave(path: Path, content: bytes) -> Path:
    """A finished process's file."""
    (path / "live").mkdir(parents=True, exist_ok=True)
    file = path / "live" / f"{os.urandom(16).hex()}.json"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("broken", CASES.values(), ids=CASES)
@pytest.mark.shared_host("S3", "S12")
def test_impossible_value_refuses_its_file_alone(tmp_path: Path, broken: dict[str, Any]) -> None:
    """Folded again and again, with many of the kind: the sums are exact and both generations can be read."""
    Process(tmp_path).tokens(10).publish().die()
    for _ in range(3):
        leave(tmp_path, json.dumps(WHOLE | broken).encode())
        Process(tmp_path).tokens(1).publish().die()
        store(tmp_path).fold()
    assert total(tmp_path) == 13
    assert store(tmp_path).merge().quarantined == 3
    assert not list(tmp_path.glob("*corrupt*"))


def test_many_high_counts_stay_readable(tmp_path: Path) -> None:
    """Snapshots at the limit add up beyond any of them, and the archive that holds the sum is read back."""
    for _ in range(50):
        leave(tmp_path, json.dumps(WHOLE | {"c": [["tok", "backend-engineer", "default", "gpt-4o", 10**15]]}).encode())
    assert store(tmp_path).fold() == 50
    assert total(tmp_path) == 50 * 10**15
    assert store(tmp_path).fold() == 0
    assert total(tmp_path) == 50 * 10**15


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 3 * 2**30, 2**40])
@pytest.mark.shared_host("S6")
def test_large_file_is_refused_unread(tmp_path: Path, size: int) -> None:
    """A sparse file of any size costs nothing, and is not tried again."""
    with open(leave(tmp_path, b""), "wb") as file:
        file.truncate(size)
    Process(tmp_path).tokens(10).publish().die()
    assert store(tmp_path).fold() == 1
    assert (total(tmp_path), store(tmp_path).merge().unreadable) == (10, 1)


@pytest.mark.shared_host("S12")
def test_folder_or_pipe_in_a_files_place_stops_nothing(tmp_path: Path) -> None:
    """Folding goes on beside whatever has the name of a snapshot or of a lock."""
    path = leave(tmp_path, b"")
    path.unlink()
    path.mkdir()
    os.mkfifo(leave(tmp_path, b"").with_name(f"{os.urandom(16).hex()}.json"))
    (tmp_path / "live" / "fold.lock").mkdir()
    (tmp_path / "live" / "..json").write_text("{}")
    Process(tmp_path).tokens(10).publish().die()
    assert store(tmp_path).fold() == 1
    assert total(tmp_path) == 10


@pytest.mark.shared_host("S13")
def test_archive_removes_whole_names_of_snapshots_only(tmp_path: Path) -> None:
    """An archive that lists a path removes nothing outside the folder of snapshots."""
    import zlib

    (tmp_path / "live").mkdir()
    precious = tmp_path / "x.json"
    precious.write_text("mine")
    payload = json.dumps(
        WHOLE | {"generation": 2, "settled": True, "folded": ["../x", "../../x"], "exceeded": []}
    ).encode()
    (tmp_path / "archive.json").write_bytes(b"%08x\n" % zlib.crc32(payload) + payload)
    Process(tmp_path).tokens(1).publish().die()
    Archive(StateDirectory(tmp_path)).fold(1.0)
    assert precious.read_text() == "mine"


@pytest.mark.shared_host("S11", "S28")
def test_unfit_label_values_become_other_at_the_merge(tmp_path: Path) -> None:
    """What a client should not have recorded is no series, and the sum is exact."""
    unfit = ["a" * 100_000, "a\x00b", "zero\u200bwidth", "<!channel>", "{{task}}", "\u202eevil"]
    rows = [["tok", "backend-engineer", "default", value, 2] for value in unfit]
    rows += [["llm", "backend-engineer", "gpt-4o", "no outcome", 3], ["qg", "w", "s", "maybe", 4]]
    leave(tmp_path, json.dumps(WHOLE | {"c": rows}).encode())
    for _ in range(2):
        counters = store(tmp_path).merge().totals.counters
        assert counters["tok", "backend-engineer", "default", "other"] == 12
        assert counters["llm", "backend-engineer", "gpt-4o", "other"] == 3
        assert counters["qg", "w", "s", "other"] == 4
        assert counters["of", "model"] == 6
        store(tmp_path).fold()


@pytest.mark.shared_host("S3")
def test_lost_archive_is_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no generation can be read, that is an error in the log and a count, never silence."""
    Process(tmp_path).tokens(10).publish().die()
    store(tmp_path).fold()
    for name in ("archive.json", "archive.prev.json"):
        (tmp_path / name).write_bytes(b"garbage")
    store(tmp_path).fold()
    assert "NO generation of it can be read" in caplog.text
    assert store(tmp_path).merge().quarantined == 2
