"""The current persona of one user in one workspace, shared between processes in a small locked file."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import HypertoolError
from ..runtime.foreign_files import Folder, locked
from ..runtime.light_typing import NamedTuple
from . import workspace_files
from .directory import full, open_personal

# A switch takes milliseconds; a process that holds the session for longer is suspended.
LOCK_SECONDS = 5.0
FILE_BYTES = 65_536


class SavedSession(NamedTuple):
    """The active persona, its chatmode, and its start (seconds since the epoch)."""

    persona: str
    chatmode: str
    since: float

    def seconds(self, now: float | None = None) -> float:
        """Its length until `now`; never negative, even if the clock was set back."""
        return max(0.0, (time.time() if now is None else now) - self.since)


def directory() -> Path:
    """The directory of this user's sessions."""
    return workspace_files.directory("sessions")


class Sessions:
    """The session of one workspace: read it, or hold it during a change."""

    def __init__(self, workspace: Path, where: Path | None = None) -> None:
        self.workspace = workspace
        self._directory = where or directory()
        key = workspace_files.key(workspace)
        self._file = self._directory / f"{key}.json"
        self._lock = self._directory / f"{key}.lock"
        self.note: str | None = None

    def read(self) -> SavedSession | None:
        """The active session, or None. An unreadable file is set aside; `note` says so, once."""
        try:
            return self._load()
        except ValueError:
            with self.held():  # its writer may have repaired it meanwhile
                return self.read_held()

    def read_held(self) -> SavedSession | None:
        """The active session, while the caller holds it."""
        try:
            return self._load()
        except ValueError:
            self._put_aside()
            return None

    def _load(self) -> SavedSession | None:
        try:
            with Folder(self._directory.parent, self._directory.name) as folder:
                text = folder.read(self._file.name, FILE_BYTES, os.geteuid())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable("read", error) from None
        return _parse(text)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes of this user from changing the session; waits for one that is changing it."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(open_personal(self._directory))
                descriptor = stack.enter_context(locked(folder, self._lock.name, LOCK_SECONDS))
            except OSError as error:
                raise self._unusable("written", error) from None
            if descriptor is None:
                raise HypertoolError(
                    f"another process has held {self._lock} for {LOCK_SECONDS:g} s; try again when it has ended"
                )
            yield

    @contextlib.contextmanager
    def replaced_by(self, session: SavedSession | None) -> Iterator[None]:
        """Put `session` in place (None: remove it) if the block succeeds; allocates the disk space first.

        So a full disk stops a switch before it is counted, and a switch that was not counted is not remembered.
        """
        if session is None:
            yield
            self._file.unlink(missing_ok=True)
            return
        new = self._file.with_suffix(f".{os.getpid()}.new")
        document = {"workspace": str(self.workspace), **session._asdict()}
        try:
            with open_personal(self._directory) as folder:
                descriptor = folder.create(new.name, 0o600, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                json.dump(document, file, ensure_ascii=False)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            raise self._unusable("written", error) from None
        try:
            yield
            new.replace(self._file)
        finally:
            new.unlink(missing_ok=True)

    def _put_aside(self) -> None:
        aside = self._file.with_suffix(".corrupt")
        try:
            self._file.replace(aside)
        except OSError as error:
            raise self._unusable("written", error) from None
        self.note = (
            f"the session file {self._file} could not be understood; it is kept as {aside.name}, "
            "and no persona is active now"
        )

    def _unusable(self, what: str, error: OSError) -> HypertoolError:
        help_ = (
            "free some space there"
            if full(error)
            else "make it a directory of yours, or set XDG_STATE_HOME or HYPERTOOL_STATE_DIR to one"
        )
        return HypertoolError(f"the sessions in {self._directory} cannot be {what}: {error.strerror or error}; {help_}")


def _parse(text: bytes) -> SavedSession:
    document = json.loads(text.decode("utf-8", "surrogateescape"))
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    persona, chatmode, since = (document.get(key) for key in SavedSession._fields)
    if not isinstance(persona, str) or not isinstance(chatmode, str) or not persona or not chatmode:
        raise ValueError("persona and chatmode must be texts")
    if isinstance(since, bool) or not isinstance(since, (int, float)) or not 0 <= since < 1e11:
        raise ValueError("since must be seconds since the epoch")
    return SavedSession(persona, chatmode, float(since))
