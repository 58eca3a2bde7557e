"""Reads the snapshots in `live`: within limits, checked, and under the label rules of the host."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time

from ..runtime.foreign_files import Folder, read_descriptor
from ..runtime.light_typing import NamedTuple
from .admission import Admission
from .snapshot_format import MAX_BYTES, TAKEN, WRITER, newest
from .snapshot_reader import moment, parse
from .totals import CORRECTED_AGE_SECONDS, SKEW_SECONDS, Malformed, Totals

NAME = re.compile(r"[0-9a-f]{32}\.json")
# A snapshot that is being written, and a batch of a ledger that its next transaction completes.
TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
READY = re.compile(r"\.[0-9a-f]{32}\.ready")
# On a shared host, how many of one user's files in `live` one scan looks at; a fold makes room for further ones.
ENTRIES_OF_A_USER = 5_000

Signature = tuple[int, int, int, int]

# Exceptions from reading a bad file.
REFUSED = (OSError, Malformed, MemoryError, ValueError, TypeError, KeyError, IndexError, OverflowError)
_LASTING = frozenset({errno.EFBIG, errno.EINVAL, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM})


class Snapshot(NamedTuple):
    """One process's numbers; `user` is the owner of the file, `taken` its time in seconds since the epoch, `size` the
    bytes of its newest state.
    """

    totals: Totals
    user: int
    taken: float
    size: int


def signature(found: os.stat_result) -> Signature:
    """A value that changes whenever the file is rewritten."""
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def read_snapshot(live: Folder, name: str, admission: Admission, now: float | None = None) -> Snapshot:
    """Read a snapshot. Raises OSError, also for a link, a pipe, a folder and a file that is too large; Malformed."""
    descriptor = live.open(name)
    try:
        raw = read_descriptor(descriptor, MAX_BYTES, str(live.path / name))
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    totals, data = parse(raw)
    if data.get(WRITER, name[:-5]) != name[:-5]:
        raise Malformed("it has another process's name: a copy or a link")
    now = time.time() if now is None else now
    taken = moment(data[TAKEN])
    if taken > now:
        taken = now if taken <= now + SKEW_SECONDS else now - CORRECTED_AGE_SECONDS
    totals.date_agent_sessions(min(taken, found.st_ctime))
    totals.clamp(now)
    admission.apply(totals, found.st_uid)
    return Snapshot(totals, found.st_uid, taken, len(newest(raw)))


def lasting(error: Exception) -> bool:
    """Whether a refusal is permanent, so that the file need not be tried again before it changes."""
    return not isinstance(error, OSError) or error.errno in _LASTING


def abandoned(live: Folder, name: str) -> bool:
    """Whether the lock of that file is free, so its writer is gone (and the name still refers to the file)."""
    try:
        descriptor = live.open(name)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return live.holds(name, descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
