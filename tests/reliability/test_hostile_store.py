"""Thousands of hostile files in the store of a running exporter: it serves on, in time, and honest numbers are exact.

HYPERTOOL_FUZZ=50000 makes as many of them; without it a few hundred do.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from pathlib import Path

import pytest

from hypertool.errors import StoreUnavailable
from hypertool.store.directory import StateDirectory
from hypertool.store.store import Store
from tests.support.exporter_process import Exporter, running
from tests.support.hostile_files import Hostile
from tests.support.hypertool_host import Host, wait_until
from tests.support.shared_host import ANN
from tests.support.store_writers import Process

FILES = int(os.environ.get("HYPERTOOL_FUZZ", "600"))
AT_ONCE = max(60, FILES // 100)
SECONDS = 1.0
MEMORY_KIB = 100 * 1024
#: Seconds and name of the longest call so far.
LONGEST = [(0.0, "none")]
if FILES > 5000:
    pytestmark = pytest.mark.timeout(FILES)


def timed(what: str, call: object) -> object:
    """What it returns; no call may take a second of a processor that it has for itself."""
    began = time.monotonic()
    result = call()  # type: ignore[operator]
    took = time.monotonic() - began
    LONGEST[0] = max(LONGEST[0], (took, what))
    if took >= SECONDS:
        slower = slowness()
        assert took / slower < SECONDS, f"{what} took {took:.2f} s on a machine that is {slower:.1f} times busy"
    return result


def slowness() -> float:
    """How much longer than its processor time a piece of work takes now."""
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.2:
        pass
    return max(1.0, (time.monotonic() - began) / (time.process_time() - used))


def honest(text: str) -> float:
    """The tokens of the honest processes: only they use this model."""
    lines = [line for line in text.splitlines() if "tokens_used_total{" in line and '"honest"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def peak(exporter: Exporter) -> int:
    """The most memory that it ever had, in KiB."""
    assert exporter.process is not None
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def leave(folder: Path, name: str, content: bytes) -> None:
    """A file of a member."""
    path = folder / name
    with contextlib.suppress(OSError):
        path.write_bytes(content)
        if os.geteuid() == 0:
            os.chown(path, ANN, -1)


@pytest.mark.shared_host("S3", "S12")
def test_hostile_snapshots_change_no_honest_number(host: Host) -> None:
    """Hostile snapshots and requests: no crash, no call over a second, exact honest numbers, memory below 100 MiB."""
    for name in ("live", "requests", "shared", "service"):
        (host.state / name).mkdir(parents=True)
    (host.state / "requests").chmod(0o1777)
    seed = random.randrange(10**9)
    hostile = Hostile(seed)
    snapshots, registers = hostile.snapshots(), hostile.registers()
    expected, left = 0, FILES
    with running(host) as exporter:
        while left > 0:
            process = Process(host.state)
            process.recorder.add(7, "tok", "devops-engineer", "default", "honest")
            process.publish().die()
            expected += 7
            for content in itertools.islice(snapshots, AT_ONCE):
                leave(host.state / "live", f"{os.urandom(16).hex()}.json", content)
            for content in itertools.islice(registers, 3):
                leave(host.state / "requests", f"{ANN}-{os.urandom(8).hex()}.json", content)
            left -= AT_ONCE
            store = Store(StateDirectory(host.state))
            text = timed("a scrape", exporter.text)
            assert honest(str(text)) == expected, f"seed {seed}"
            timed("a merge", store.merge)
            timed("a read of resets", store.resets.read)
            timed("a reset", lambda store=store: store.reset_budget("data-scientist"))
            timed("a threshold", lambda store=store: store.thresholds.claim("p", 1, 0, (80,)))
            timed("a label", lambda store=store: store.labels.admit("model", "some", 64))
            wait_until(
                lambda process=process: not process.file.exists(), f"the honest process to be folded, seed {seed}", 30
            )
            for file in (*(host.state / "live").iterdir(), *(host.state / "requests").glob(f"{ANN}-*")):
                with contextlib.suppress(FileNotFoundError):  # folded, or set aside meanwhile
                    if file.stat().st_uid == ANN:
                        file.unlink()  # what may stay, such as another version's, does not pile up here
        assert honest(exporter.text()) == expected, f"seed {seed}"
        samples = exporter.scrape()
        assert samples["hypertool_store_quarantined_files"] > 0
        assert time.time() - samples["hypertool_store_last_fold_timestamp_seconds"] < 30
        assert len(samples) < 40_000
        memory = peak(exporter)
        print(f"{FILES} files, seed {seed}: honest {expected}, peak {memory} KiB, longest {LONGEST[0]}")
        assert memory < MEMORY_KIB
    assert honest(_again(host)) == expected, "a new exporter reads the same"


def _again(host: Host) -> str:
    with running(host) as exporter:
        return exporter.text()


def test_hostile_archives_raise_nothing_else(host: Host) -> None:
    """Whatever an archive or a register says: it is read, or the store says that it cannot be used; in time."""
    seed = random.randrange(10**9)
    hostile = Hostile(seed)
    files = (
        ("archive.json", hostile.archives()), ("archive.prev.json", hostile.archives()),
        ("labels.jsonl", hostile.registers()), ("resets.json", hostile.registers()),
        ("thresholds.json", hostile.registers()),
    )  # fmt: skip
    live = host.state / "live"
    live.mkdir(parents=True)
    precious = host.state / "x.json"
    for number in range(FILES // 3):
        precious.write_text("precious")
        for name, contents in files:
            (host.state / name).write_bytes(next(contents))
        store = Store(StateDirectory(host.state))
        where = f"seed {seed}, round {number}"
        with contextlib.suppress(StoreUnavailable):
            timed(f"a read, {where}", store.read)
        with contextlib.suppress(StoreUnavailable):
            timed(f"a fold, {where}", store.fold)
        timed(f"a label, {where}", lambda store=store: store.labels.admit("model", "x", 64))
        timed(f"a threshold, {where}", lambda store=store: store.thresholds.claim("p", 1, 0, (80,)))
        timed(f"a reset, {where}", lambda store=store: store.reset_budget("p"))
        assert precious.read_text() == "precious", where
        for file in host.state.glob("archive*"):
            file.unlink()
    print(f"{FILES // 3 * len(files)} archives and registers, seed {seed}: longest {LONGEST[0]}")


@pytest.mark.shared_host("S11")
def test_flood_of_one_member_leaves_the_others_exact(host: Host) -> None:
    """300,000 label sets of one member become a bounded number of series; another's new ones are all there."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be two users; run it as root")
    for name in ("live", "requests", "shared", "service"):
        (host.state / name).mkdir(parents=True)
    for file in range(60):
        rows = b",".join(
            b'["tok","backend-engineer","c%d","m%d",1]' % (row % 60, file * 100 + row % 90) for row in range(5000)
        )
        content = b'{"v":1,"t":1.0,"c":[' + rows + b'],"h":[],"m":[],"s":[],"a":[],"e":[],"w":[],"l":[]}'
        leave(host.state / "live", f"{os.urandom(16).hex()}.json", content)
    process = Process(host.state)
    for number in range(5):
        process.recorder.add(7, "tok", "devops-engineer", "default", f"own-{number}")
    process.publish().die()
    with running(host) as exporter:
        wait_until(lambda: not list((host.state / "live").iterdir()), "everything to be folded", 60)
        timed("a scrape", exporter.text)
        samples = exporter.scrape()
        own = [series for series in samples if "tokens_used" in series and "own-" in series]
        assert [samples[series] for series in own] == [7.0] * 5
        assert len(samples) < 20_000
        assert peak(exporter) < MEMORY_KIB
