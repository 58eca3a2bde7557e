"""A host with a service and two members: each writes its own numbers only, and nothing one does hurts the other's."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.domain.labels import MAX_OTHERS
from hypertool.domain.personas import Catalogue, load_catalogue
from hypertool.errors import StoreUnavailable
from hypertool.llm.describing import fingerprint
from hypertool.store import batches
from hypertool.store.fingerprint_key import fingerprint_key
from hypertool.store.snapshot_format import MAX_BYTES
from tests.support.shared_host import ANN, BOB, SERVICE, as_user, make_store
from tests.support.store_writers import Process, store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users; run it as root")
KEY = ("tok", "backend-engineer", "default", "simulated")
assert fingerprint  # loaded before a child drops its rights


@pytest.fixture
def path() -> Iterator[Path]:
    # Not below pytest's own folder: each run of pytest closes it to other users again.
    top = Path(tempfile.mkdtemp(prefix="hypertool-store-"))
    try:
        yield make_store(top / "store")
    finally:
        shutil.rmtree(top)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(strict=False)


def spend(path: Path, catalogue: Catalogue, tokens: int) -> None:
    """One process that counts and ends."""
    Process(path, catalogue).tokens(tokens).publish().die()


def counted(path: Path) -> int:
    return store(path).merge().totals.counters.get(KEY, 0)


def fold(path: Path) -> None:
    while store(path).fold():
        pass


@pytest.mark.shared_host("S9")
def test_members_write_their_own_numbers_only(path: Path, catalogue: Catalogue) -> None:
    """Snapshots of two members are summed and folded by the service; neither can change the other's, or the sums."""
    as_user(ANN, lambda: spend(path, catalogue, 10))
    as_user(BOB, lambda: Process(path, catalogue).tokens(5).publish())
    files = list((path / "live").glob("*.json"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o640}
    bobs = next(file for file in files if file.stat().st_uid == BOB)

    def attack() -> None:
        assert counted(path) == 15, "a member reads everything"
        for change in (
            lambda: bobs.unlink(),
            lambda: bobs.rename(bobs.with_name("x")),
            lambda: bobs.write_bytes(b""),
            lambda: (path / "shared" / "archive.json").write_bytes(b""),
            lambda: (path / "shared" / "archive.prev.json").write_bytes(b""),
            lambda: (path / "service").iterdir().__next__(),
            lambda: (path / "archive.json").write_bytes(b""),
            lambda: (path / "live").rename(path / "gone"),
            lambda: (path / "shared").rename(path / "gone"),
            lambda: os.symlink("/etc", path / "etc"),
        ):
            with pytest.raises(PermissionError):
                change()
        assert store(path).fold() == 0, "only the service folds"

    as_user(ANN, attack)
    as_user(SERVICE, lambda: fold(path))
    assert not list((path / "live").glob("*.json"))
    for user in (ANN, BOB, SERVICE):
        as_user(user, lambda: _equal(counted(path), 15))
    as_user(BOB, lambda: spend(path, catalogue, 5))
    as_user(ANN, lambda: _refused(lambda: (path / "shared" / "archive.json").unlink()))
    assert counted(path) == 20


def _equal(found: object, expected: object) -> None:
    assert found == expected


def _refused(change: object) -> None:
    with pytest.raises(PermissionError):
        change()  # type: ignore[operator]


def test_reset_of_a_member_needs_no_service(path: Path, catalogue: Catalogue) -> None:
    """A member's reset is seen by every other member's process, also while the service is down."""
    reader = store(path)
    assert reader.resets.read() == {}
    as_user(ANN, lambda: store(path).reset_budget("backend-engineer"))
    first = reader.resets.read()["backend-engineer"]
    as_user(BOB, lambda: store(path).reset_budget("backend-engineer"))
    assert reader.resets.read()["backend-engineer"] > first
    as_user(ANN, lambda: store(path).reset_budget("data-scientist"))
    assert set(reader.resets.read()) == {"backend-engineer", "data-scientist"}
    assert len(list((path / "requests").glob("*.json"))) == 2


@pytest.mark.parametrize("number", [2**62, -1, 1e999, "5", None, [1], True, 10**400])
def test_reset_that_is_no_time_is_ignored(path: Path, catalogue: Catalogue, number: object) -> None:
    """A member cannot use up the numbers of resets."""
    name = f"{ANN}-{'a' * 16}.json"
    as_user(ANN, lambda: (path / "requests" / name).write_text(json.dumps({"resets": {"backend-engineer": number}})))
    as_user(BOB, lambda: store(path).reset_budget("backend-engineer"))
    assert abs(store(path).resets.read()["backend-engineer"] - time.time()) < 60


def test_request_in_another_members_name_is_nobodys(path: Path, catalogue: Catalogue) -> None:
    """A file counts for its owner; those in another's name are removed, and are not in his way."""

    def forge() -> None:
        for number in range(20):
            name = f"{BOB}-{number:016x}.json"
            (path / "requests" / name).write_text('{"resets": {"backend-engineer": 1000}}')
        (path / "requests" / f"{BOB}.lock").mkdir()

    as_user(ANN, forge)
    assert store(path).resets.read() == {}
    as_user(BOB, lambda: store(path).reset_budget("backend-engineer"))
    assert store(path).resets.read()["backend-engineer"] > 1000
    as_user(SERVICE, lambda: fold(path))
    assert [file.stat().st_uid for file in (path / "requests").glob("*.json")] == [BOB]


def test_threshold_is_told_once_for_all_members(path: Path) -> None:
    """What one member told of, no other tells again in that window."""
    as_user(ANN, lambda: _equal(store(path).thresholds.claim("p", 100, 0, (80,)), (80,)))
    as_user(BOB, lambda: _equal(store(path).thresholds.claim("p", 100, 0, (80, 100)), (100,)))
    as_user(ANN, lambda: _equal(store(path).thresholds.claim("p", 100, 0, (80, 100)), ()))
    as_user(ANN, lambda: _equal(store(path).thresholds.claim("p", 200, 0, (80,)), (80,)))


def names(path: Path, catalogue: Catalogue, prefix: str, how_many: int) -> None:
    process = Process(path, catalogue)
    for number in range(how_many):
        process.recorder.add(1, "tok", "backend-engineer", "default", f"{prefix}-{number}")
    process.publish().die()


@pytest.mark.shared_host("S28")
def test_one_member_cannot_use_up_all_names(path: Path, catalogue: Catalogue) -> None:
    """Ann's 200 names take her share; bob's first eight are admitted, and the sums are exact."""
    as_user(BOB, lambda: names(path, catalogue, "early", 1))
    as_user(SERVICE, lambda: fold(path))
    as_user(ANN, lambda: names(path, catalogue, "ann", 200))
    as_user(SERVICE, lambda: fold(path))
    as_user(BOB, lambda: names(path, catalogue, "bob", 7))
    models = {key[3]: value for key, value in store(path).merge().totals.counters.items() if key[0] == "tok"}
    assert sum(models.values()) == 208
    assert sum(model.startswith("bob") for model in models) == 7
    assert len(models) <= MAX_OTHERS + 1
    as_user(SERVICE, lambda: fold(path))
    again = {key[3]: value for key, value in store(path).merge().totals.counters.items() if key[0] == "tok"}
    assert again == models, "what the scrape shows is what is folded"
    as_user(BOB, lambda: _equal({e.user for e in store(path).labels.all()}, {ANN, BOB}))
    with pytest.raises(StoreUnavailable, match="sudo hypertool labels --free model ann-0"):
        raise _of_user(ANN, lambda: store(path).labels.free("model", "ann-0"))
    assert store(path).labels.free("model", "ann-0")
    assert (path / "shared" / "labels.jsonl").stat().st_uid == SERVICE


def _of_user(user: int, work: object) -> Exception:
    """The error that this raises for another user."""
    message: list[Exception] = []

    def call() -> None:
        try:
            work()  # type: ignore[operator]
        except Exception as error:
            (Path("/tmp") / f"hypertool-test-{os.getppid()}").write_text(str(error))

    as_user(user, call)
    said = Path("/tmp") / f"hypertool-test-{os.getpid()}"
    message.append(StoreUnavailable(said.read_text()))
    said.unlink()
    return message[0]


@contextlib.contextmanager
def held_by(user: int, path: Path) -> Iterator[None]:
    """That member holds a lock on every file that it may open."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([61000])
        os.setgid(user)
        os.setuid(user)
        for place in path.rglob("*"):
            with contextlib.suppress(OSError):
                fcntl.flock(os.open(place, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        for place in path.rglob("*.lock"):
            with contextlib.suppress(OSError):
                fcntl.flock(os.open(place, os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(go, b"x")
        time.sleep(120)
        os._exit(0)
    os.read(ready, 1)
    try:
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.mark.shared_host("S5")
def test_locks_that_a_member_holds_hold_nobody_up(path: Path, catalogue: Catalogue) -> None:
    """Whatever ann locks, bob's calls take less than a second each, and the service folds."""
    as_user(SERVICE, lambda: store(path).begin_service())
    as_user(BOB, lambda: (spend(path, catalogue, 1), store(path).reset_budget("data-scientist")))
    as_user(SERVICE, lambda: fold(path))
    as_user(BOB, lambda: spend(path, catalogue, 2))

    def work() -> None:
        using = store(path)
        for call in (
            lambda: using.labels.admit("model", "m", 64),
            lambda: using.reset_budget("backend-engineer"),
            lambda: using.thresholds.claim("p", 1, 0, (80,)),
            lambda: using.merge(),
            lambda: using.read(catalogue),
            lambda: fingerprint_key(using.directory),
            lambda: Process(path, catalogue).tokens(4).publish().die(),
            lambda: using.reserving().__enter__(),
        ):
            began = time.monotonic()
            call()
            assert time.monotonic() - began < 1.0

    with held_by(ANN, path):
        as_user(BOB, work)
        as_user(SERVICE, lambda: fold(path))
        assert counted(path) == 7


def test_locked_register_of_names_stops_no_fold(path: Path, catalogue: Catalogue) -> None:
    """Ann locks the register, which she may read: the service folds and admits bob's names, and root frees one."""
    as_user(BOB, lambda: names(path, catalogue, "bob", 1))
    as_user(SERVICE, lambda: fold(path))
    with held_by(ANN, path):
        as_user(BOB, lambda: names(path, catalogue, "later", 1))
        as_user(SERVICE, lambda: fold(path))
        assert not list((path / "live").glob("*.json"))
        assert {entry.value for entry in store(path).labels.all()} >= {"bob-0", "later-0"}
        assert store(path).labels.free("model", "bob-0")
        as_user(BOB, lambda: names(path, catalogue, "last", 1))
        as_user(SERVICE, lambda: fold(path))
        assert {entry.value for entry in store(path).labels.all() if entry.label == "model"} >= {"later-0", "last-0"}


@pytest.mark.shared_host("S6", "S12")
def test_files_that_are_no_snapshots_cost_nothing(path: Path, catalogue: Catalogue) -> None:
    """Sparse files, pipes, links, folders: not read, set aside, counted; the other member's numbers are exact."""

    def attack() -> None:
        live = path / "live"
        for size in (MAX_BYTES + 1, 3 * 2**30, 12 * 2**30):
            with open(live / f"{os.urandom(16).hex()}.json", "wb") as file:
                file.truncate(size)
        os.mkfifo(live / f"{os.urandom(16).hex()}.json")
        os.symlink("/etc/passwd", live / f"{os.urandom(16).hex()}.json")
        (live / f"{os.urandom(16).hex()}.json").mkdir()
        (live / "fold.lock").mkdir()
        (live / f".{os.urandom(16).hex()}.tmp").mkdir()
        (live / f"{os.urandom(16).hex()}.json").write_bytes(b'{"v":1,"t":' + b"9" * 400 + b"}")

    as_user(ANN, attack)
    as_user(BOB, lambda: spend(path, catalogue, 5))
    began = time.monotonic()
    as_user(BOB, lambda: _equal(counted(path), 5))
    as_user(SERVICE, lambda: fold(path))
    assert time.monotonic() - began < 5
    merge = store(path).merge()
    assert (merge.totals.counters[KEY], merge.writers) == (5, 0)
    assert merge.quarantined >= 5
    assert merge.unreadable <= 2, "what the service may not move stays"
    as_user(SERVICE, lambda: fold(path))


def test_copy_of_another_members_snapshot_is_refused(path: Path, catalogue: Catalogue) -> None:
    """A snapshot says whose it is: under another name it does not count twice."""
    as_user(BOB, lambda: spend(path, catalogue, 5))
    (bobs,) = (path / "live").glob("*.json")
    as_user(ANN, lambda: (path / "live" / f"{'a' * 32}.json").write_bytes(bobs.read_bytes()))
    assert counted(path) == 5
    as_user(SERVICE, lambda: fold(path))
    assert counted(path) == 5


def test_taken_name_of_a_batch_is_told(path: Path) -> None:
    """Ann sees the name of bob's batch before it counts, and takes it: bob gets an error, and may use another one."""
    first, second = "a" * 32, "b" * 32
    data = {"t": time.time(), "c": [[*KEY, 5]], **{part: [] for part in "hmsaewl"}}
    directory = store(path).directory
    as_user(BOB, lambda: batches.prepare(directory, first, data))
    as_user(ANN, lambda: (path / "live" / f"{first}.json").write_text(""))

    def complete() -> None:
        with pytest.raises(batches.NameTaken):
            batches.complete(directory, first)
        batches.discard(directory, first)
        batches.prepare(directory, second, data)
        batches.complete(directory, second)

    as_user(BOB, complete)
    assert counted(path) == 5


@pytest.mark.shared_host("S22")
def test_root_writes_through_no_link(path: Path, tmp_path: Path, catalogue: Catalogue) -> None:
    """Root that uses the library does not follow what a member put in the way."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (path / "live").rmdir()
    os.symlink(victim, path / "live")
    process = Process(path, catalogue).tokens(1)
    with pytest.raises((OSError, StoreUnavailable)):
        process.publish()
    assert not list(victim.iterdir())


OLD_ARCHIVE = (
    b'{"v":1,"generation":4,"settled":true,"folded":[],"exceeded":[["backend-engineer",1700000000,0]],'
    b'"c":[["tok","backend-engineer","default","simulated",1234],["fol",9],["qg","package_release","publish_deploy",'
    b'"pass",3]],"h":[],"m":[["ok","langfuse",1700000000000000]],"s":[],"p":[],"a":[],'
    b'"e":[["backend-engineer",1700000000.5,766,0]],"w":[],"l":[]}'
)


def test_upgrade_keeps_every_number(path: Path, catalogue: Catalogue) -> None:
    """What an older version left in the store's own folder is taken over once, and never twice."""
    import zlib

    root = path
    (root / "archive.json").write_bytes(b"%08x\n" % zlib.crc32(OLD_ARCHIVE) + OLD_ARCHIVE)
    (root / "archive.prev.json").write_bytes(b"%08x\n" % zlib.crc32(OLD_ARCHIVE) + OLD_ARCHIVE)
    (root / "labels.jsonl").write_text('["model", "old-model"]\n')
    (root / "resets.json").write_text('{"backend-engineer": 1700000100}')
    (root / "fingerprint.key").write_bytes(b"k" * 32)
    for file in root.glob("*.*"):
        os.chown(file, 0, SERVICE)
        file.chmod(0o640)
    old = root / "live" / f"{'b' * 32}.json"
    old.write_text(
        '{"v":1,"id":"' + "b" * 32 + '","t":1700000000.0,"c":[["tok","backend-engineer","default","simulated",6]],'
        '"h":[],"m":[],"s":[],"p":[],"a":[],"e":[],"w":[],"r":[],"l":[]}'
    )
    os.chown(old, ANN, SERVICE)
    old.chmod(0o660)
    as_user(BOB, lambda: _equal(counted(path), 1240))
    for _ in range(2):
        as_user(SERVICE, lambda: (store(path).begin_service(), fold(path)))
        for user in (ANN, BOB, SERVICE):
            as_user(user, lambda: _equal(counted(path), 1240))
    assert (path / "shared" / "archive.json").exists()
    (root / "archive.json").unlink()
    using = store(path)
    assert counted(path) == 1240
    assert using.merge().totals.counters["fol",] == 10
    assert using.resets.read() == {"backend-engineer": 1700000100}
    assert fingerprint_key(using.directory) == b"k" * 32
    assert [entry.value for entry in using.labels.all() if entry.label == "model"] == ["old-model"]
