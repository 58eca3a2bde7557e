"""Rows of metrics that this version does not know, or knows otherwise: only those rows are dropped."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from hypertool.domain.instruments import BY_KEY
from tests.support.store_writers import Process, leave, store, total

TOKENS = ["tok", "backend-engineer", "default", "simulated"]


def rewrite(archive: Path, **rows: Any) -> None:
    """Add rows to an archive, with a checksum that fits."""
    document = json.loads(archive.read_bytes().partition(b"\n")[2])
    payload = json.dumps({k: [*rows[k], *v] if k in rows else v for k, v in document.items()}).encode()
    archive.write_bytes(b"%08x\n" % zlib.crc32(payload) + payload)


@pytest.mark.parametrize("fold", [False, True], ids=["live", "folded"])
def test_unlike_unknown_metric_costs_its_row(tmp_path: Path, fold: bool) -> None:
    """An unknown histogram with other buckets than the one before does not cost its process's other numbers."""
    leave(tmp_path, h=[["new", "x", [1, 2], 3, {}], ["new", "y", [1], 3, {}], ["new", "z", [1, 2, 3], 3, {}]])
    if fold:
        assert store(tmp_path).fold() == 1
    leave(tmp_path, h=[["new", "x", [1, 2, 3, 4], 3, {"3": ["a" * 32, "b" * 16, 1.0, 1.0]}]], c=[[*TOKENS, 5]])
    merge = store(tmp_path).merge()
    assert (merge.totals.counters[tuple(TOKENS)], merge.unreadable) == (5, 0)
    store(tmp_path).fold()
    assert total(tmp_path) == 5
    assert not list((tmp_path / "live").iterdir())


@pytest.mark.parametrize(
    "rows",
    [
        {"c": [["st", "w", "s", "backend-engineer", 5]]},
        {"c": [["wri", 5]]},
        {"h": [[*TOKENS, [5], 7, {}]]},
        {"m": [[*TOKENS, 5]]},
    ],
    ids=["histogram as counter", "gauge as counter", "counter as histogram", "counter as gauge"],
)
def test_metric_of_another_kind_refuses_a_snapshot(tmp_path: Path, rows: dict[str, Any]) -> None:
    leave(tmp_path, **rows)
    Process(tmp_path).tokens(10).publish().die()
    assert (total(tmp_path), store(tmp_path).merge().unreadable) == (10, 1)
    assert store(tmp_path).fold() == 1


def test_archive_survives_rows_that_do_not_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sums of the host stay, whatever one row has become, also when an upgrade gives a metric other buckets."""
    leave(tmp_path, c=[[*TOKENS, 10]], h=[["new", "x", [1, 2], 3, {}]])
    store(tmp_path).fold()
    monkeypatch.setitem(BY_KEY, "new", BY_KEY["st"]._replace(key="new", labels=("workflow",)))
    odd = {
        "c": [["st", "w", "s", "p", 5], 7, [], ["tok", "p", "c", "m", -1], ["tok", "p", "c", "m", 10**31]],
        "h": [[*TOKENS, [5], 7, {}], ["st", "w", "s", "p", [1], 2, {}], ["st", "w", "s", "p", None, 2, {}]],
        "w": [["p", "x", 0, 1]],
        "l": [["p", 1, "week", 1.0]],
        "g": [["claude-code", "a" * 1000, 1.0, False, []]],
    }
    rewrite(tmp_path / "archive.json", **odd)
    assert total(tmp_path) == 10
    assert "cannot use" in caplog.text
    Process(tmp_path).tokens(1).publish().die()
    assert store(tmp_path).fold() == 1
    assert total(tmp_path) == 11
    assert not list(tmp_path.glob("*corrupt*"))
