"""The host's key for fingerprints of prompts: created once, by the service if the host has one."""

from __future__ import annotations

import contextlib
import os

from ..errors import StoreUnavailable
from ..runtime.foreign_files import Folder, locked, write_all
from .directory import StateDirectory

FILE = "fingerprint.key"
KEY_BYTES = 32


def fingerprint_key(directory: StateDirectory) -> bytes:
    """32 random bytes that all processes of the host share. Raises OSError or StoreUnavailable."""
    key = _read(directory)
    if key is not None:
        return key
    directory.ensure()
    if not directory.may_fold():
        raise StoreUnavailable(
            f"the service of this host has not created {directory.shared / FILE} yet; start hypertool-exporter"
        )
    with directory.open_shared() as folder, locked(folder, FILE, mode=directory.file_mode) as descriptor:
        key = _read(directory)  # another process may be creating it right now
        if key is None:
            if descriptor is None:
                raise TimeoutError(f"the lock on {folder.path / FILE} is held by another process")
            key = os.urandom(KEY_BYTES)
            os.ftruncate(descriptor, 0)
            write_all(descriptor, key)
    return key


def _read(directory: StateDirectory) -> bytes | None:
    places = [directory.shared]
    if directory.served:
        places.append(directory.path)  # its place before the service had its own folder
    for place in places:
        with contextlib.suppress(FileNotFoundError), Folder(place) as folder:
            key = folder.read(FILE, 4096)
            if len(key) == KEY_BYTES:
                return key
    return None
