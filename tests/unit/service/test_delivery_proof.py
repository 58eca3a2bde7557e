"""The canary of a delivery proof: served while its file holds a time, and harmless whatever else is there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from hypertool.domain.personas import load_catalogue
from hypertool.service.exporter import HostCollector
from tests.support.store_writers import store

NAME = "hypertool_delivery_proof_timestamp_seconds"


def scrape(state: Path) -> str:
    """One scrape of the host's endpoint; a read that hangs ends the test with an error."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HostCollector(store(state), load_catalogue()))
    signal.alarm(20)
    try:
        return generate_latest(registry).decode()
    finally:
        signal.alarm(0)


def values(text: str) -> list[float]:
    return [float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{NAME} ")]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    store(tmp_path / "state").directory.ensure()
    return tmp_path / "state"


def test_there_is_none_outside_of_a_proof(state: Path) -> None:
    text = scrape(state)
    assert values(text) == []
    assert f"# TYPE {NAME} gauge" in text


@pytest.mark.parametrize("content", [b"1795275624.834", b"1795275624.834\n", b"1795275624"])
def test_canary_value_is_the_time_in_the_file(state: Path, content: bytes) -> None:
    """The value is the time in the file, to the millisecond."""
    (state / "delivery-proof").write_bytes(content)
    assert values(scrape(state)) == [float(content)]


HOSTILE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "words": lambda path: path.write_bytes(b"now"),
    "nan": lambda path: path.write_bytes(b"NaN"),
    "infinite": lambda path: path.write_bytes(b"inf"),
    "negative": lambda path: path.write_bytes(b"-1"),
    "exponent": lambda path: path.write_bytes(b"1e308"),
    "two lines": lambda path: path.write_bytes(b"1795275624.834\n1"),
    "a series of its own": lambda path: path.write_bytes(b"1\nhypertool_build_info 5\n"),
    "digits of another script": lambda path: path.write_text("\u0661\u0662", encoding="utf-8"),
    "no text": lambda path: path.write_bytes(bytes(range(256))),
    "huge": lambda path: os.truncate(path.write_bytes(b"1") and path, 1 << 40),
    "a directory": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link": lambda path: path.symlink_to("/etc/hostname"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_hides_only_the_canary(state: Path, kind: str) -> None:
    """Hostile content hides the canary and no other metric."""
    HOSTILE[kind](state / "delivery-proof")
    text = scrape(state)
    assert values(text) == []
    assert "hypertool_build_info{" in text
    assert "hypertool_store_writers 0.0" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file; run pytest as another user")
def test_a_file_that_may_not_be_read_shows_no_canary(state: Path) -> None:
    (state / "delivery-proof").touch(mode=0)
    assert values(scrape(state)) == []
