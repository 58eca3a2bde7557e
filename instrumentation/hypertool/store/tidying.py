"""What the service removes from the folders that members write: names of no use, and more files than one user has."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterator

from ..runtime.foreign_files import Folder
from ..runtime.logs import once
from . import requests
from .directory import StateDirectory
from .snapshots import NAME, READY, TEMPORARY

# How many files of one user stay in `live`. Folding empties it by thousands; no user has so many processes at a time.
FILES_OF_A_USER = 50_000
# By the time of the last change of a file's status, which its owner cannot choose.
GRACE_SECONDS = 60.0
# The owner that the kernel shows for users that a namespace does not map.
OVERFLOW_USER = 65534
_LOCK = re.compile(r"\d{1,10}\.lock|reservations\.lock")


def tidy_live(live: Folder) -> None:
    """Remove what is no snapshot from `live`, and surplus files. Raises OSError if the folder cannot be read."""
    owned: Counter[int] = Counter()
    for name, found in _entries(live):
        if not any(known.fullmatch(name) for known in (NAME, TEMPORARY, READY)):
            _remove(live, name, found, "it is no snapshot's name")
            continue
        owned[found.st_uid] += 1
        if owned[found.st_uid] > FILES_OF_A_USER:
            _remove(live, name, found, f"that user has more than {FILES_OF_A_USER} files")


def tidy_requests(directory: StateDirectory) -> None:
    """Remove the files that readers of requests leave out. Raises OSError if the folder cannot be read."""
    with directory.open_requests() as folder:
        used = requests.own_files(folder)
        for name, found in _entries(folder):
            user = requests.user_of(name)
            if user is None:
                if not _LOCK.fullmatch(name):
                    _remove(folder, name, found, "it is no request's name")
            elif found.st_uid == OVERFLOW_USER:
                continue  # In a user namespace several users' files look like this: they may be in order.
            elif found.st_uid != user:
                with contextlib.suppress(OSError):
                    folder.unlink(name)
            elif name not in used.get(user, ()):
                _remove(folder, name, found, f"that user has more than {requests.FILES_OF_A_USER} requests")


def _entries(folder: Folder) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder.descriptor) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            yield entry.name, found


def _remove(folder: Folder, name: str, found: os.stat_result, why: str) -> None:
    """Remove it, unless it has just been made: it may be a file that is about to get its name."""
    if time.time() - found.st_ctime < GRACE_SECONDS:
        return
    try:
        folder.unlink(name)
    except IsADirectoryError:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=folder.descriptor)
    except OSError:
        return
    once.warn(
        f"tidying {folder.path} {found.st_uid}",
        f"{folder.path / name} of user {found.st_uid} is removed, because {why}; so is all of the kind from now on",
    )
