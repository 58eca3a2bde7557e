"""One state of the archive as a file: read with its checksum, written durably, verified, with the previous one kept."""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from collections.abc import Mapping

from ..runtime.foreign_files import Folder, stamp, write_all
from ..runtime.light_typing import NamedTuple
from ..runtime.logs import log
from .snapshot_format import Window, encode
from .snapshot_reader import ARCHIVE, parse
from .snapshots import NAME
from .totals import Malformed, Totals

FILE, PREVIOUS = "archive.json", "archive.prev.json"
MAX_BYTES = 64 * 2**20


class Generation(NamedTuple):
    """One state of the archive; `settled` if the previous generation contains the folded snapshots as well.

    `sets` is how many label sets each user has introduced, by user id.
    """

    number: int
    totals: Totals
    folded: frozenset[str]
    exceeded: frozenset[Window]
    settled: bool
    sets: Mapping[str, int] = {}


EMPTY = Generation(0, Totals(), frozenset(), frozenset(), True)


def read_generation(folder: Folder, name: str) -> Generation:
    """Parse an archive file. Raises FileNotFoundError, OSError, Malformed or ForeignVersion."""
    checksum, _, payload = folder.read(name, MAX_BYTES).partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(payload):
        raise Malformed("the checksum does not match")
    totals, data = parse(payload, ARCHIVE)
    try:
        exceeded = frozenset((str(p), int(start), int(reset)) for p, start, reset in data["exceeded"])
        # Only complete names: each of them will be removed from `live`.
        folded = frozenset(writer for writer in map(str, data["folded"]) if NAME.fullmatch(f"{writer}.json"))
        sets = {str(user): int(count) for user, count in data.get("sets", {}).items()}
        return Generation(int(data["generation"]), totals, folded, exceeded, data["settled"] is True, sets)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from None


def write_generation(shared: Folder, generation: Generation, mode: int) -> Generation:
    """Put a generation in place, keeping the previous one. Raises OSError; then nothing has changed."""
    payload = encode(
        {
            "generation": generation.number,
            "settled": generation.settled,
            "folded": sorted(generation.folded),
            "exceeded": [list(window) for window in sorted(generation.exceeded)],
            "sets": dict(generation.sets),
            **generation.totals.as_data(),
        }
    )
    temporary = "archive.tmp"
    with contextlib.suppress(FileNotFoundError):
        shared.unlink(temporary)
    with shared.creating(temporary, mode) as descriptor:
        write_all(descriptor, b"%08x\n" % zlib.crc32(payload) + payload)
        stamp(descriptor)
        os.fsync(descriptor)
        _check(shared, temporary, generation)
        _keep_previous(shared, mode)
        shared.rename(temporary, FILE)
    os.fsync(shared.descriptor)
    return generation


def _keep_previous(shared: Folder, mode: int) -> None:
    temporary = "archive.prev.tmp"
    with contextlib.suppress(FileNotFoundError):
        shared.unlink(temporary)
    try:
        os.link(FILE, temporary, src_dir_fd=shared.descriptor, dst_dir_fd=shared.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError:  # a file system without hard links
        shared.replace(temporary, shared.read(FILE, MAX_BYTES), mode)
    shared.rename(temporary, PREVIOUS)


def _check(shared: Folder, name: str, generation: Generation) -> None:
    """Read a new generation back before it replaces the previous one. Raises OSError."""
    try:
        written = read_generation(shared, name)
    except Malformed as error:
        reason = str(error)
    else:
        if written.folded == generation.folded and written.totals.counters == generation.totals.counters:
            return
        reason = "it does not contain what was written"
    log.error("the new archive %s cannot be read back (%s): the one before it stays in use", shared.path / name, reason)
    raise OSError(errno.EIO, f"the new archive cannot be read back: {reason}", str(shared.path / name))
