"""The store's location and folders: with a service on the host each has one writer, else one user owns all of them.

On a host with the service, root creates `shared` and the other folders (docs/store.md): members write their snapshots
to `live` and their requests to `requests`, both sticky; the service writes `shared` and members read it; `service` is
private to the service. Without the service everything but `live` is in the folder itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from ..errors import StoreUnavailable
from ..runtime.foreign_files import Folder
from ..runtime.home import own_home
from ..runtime.light_typing import NamedTuple
from ..runtime.settings import STATE_DIR

HOST_DIRECTORY = Path("/var/lib/hypertool")
LIVE, REQUESTS, SHARED, SERVICE = "live", "requests", "shared", "service"
SNAPSHOT_MODE = 0o640


class StateDirectory(NamedTuple):
    """A located store. `note` tells the user why the host's endpoint will not show it."""

    path: Path
    note: str | None = None

    @property
    def live(self) -> Path:
        """Snapshots of processes, one file each."""
        return self.path / LIVE

    @property
    def served(self) -> bool:
        """Whether the host has a service, which then is the only writer of everything but members' own files."""
        try:
            return stat.S_ISDIR(os.lstat(f"{self.path}/{SHARED}").st_mode)
        except OSError:
            return False

    @property
    def file_mode(self) -> int:
        """Mode of a file that members share: without a service they write it in turn."""
        return 0o640 if self.served else 0o660

    @property
    def shared(self) -> Path:
        """The path of the archive and the admitted labels."""
        return self.path / SHARED if self.served else self.path

    @property
    def private(self) -> Path:
        """The path of the alert log and of files that were set aside."""
        return self.path / SERVICE if self.served else self.path

    def open_live(self) -> Folder:
        """The folder of `live`. Raises OSError, FileNotFoundError if it does not exist yet."""
        return Folder(self.path, LIVE)

    def open_requests(self) -> Folder:
        """The folder in which each member has a file of requests. Raises OSError."""
        return Folder(self.path, REQUESTS) if self.served else Folder(self.path)

    def open_shared(self) -> Folder:
        """The folder of `shared`. Raises OSError."""
        return Folder(self.path, SHARED) if self.served else Folder(self.path)

    def open_private(self) -> Folder:
        """The folder of `private`. Raises OSError."""
        return Folder(self.path, SERVICE) if self.served else Folder(self.path)

    def may_fold(self) -> bool:
        """Whether this user writes the archive: the service on a host that has one, else any user of the store."""
        if not self.served:
            return True
        with self.open_shared() as shared:
            return shared.owner == os.geteuid()

    def ensure(self) -> None:
        """Create the directory if it is missing. Raises StoreUnavailable with the reason."""
        try:
            try:
                folder = Folder(self.path)
            except FileNotFoundError:
                self.path.mkdir(parents=True, exist_ok=True)
                folder = Folder(self.path)
                with folder:
                    os.fchmod(folder.descriptor, 0o2770 if self.path == HOST_DIRECTORY else 0o700)
                folder = Folder(self.path)
            with folder:
                try:
                    self.open_live().__exit__(None, None, None)
                except FileNotFoundError:
                    self._make_live(folder)
        except OSError as error:
            raise self.unavailable(error) from None

    def _make_live(self, folder: Folder) -> None:
        mode = stat.S_IMODE(os.fstat(folder.descriptor).st_mode)
        try:
            os.mkdir(LIVE, mode, dir_fd=folder.descriptor)
        except FileExistsError:
            return  # another process was faster
        with self.open_live() as live:
            os.fchmod(live.descriptor, mode)

    def unavailable(self, error: OSError) -> StoreUnavailable:
        """The error to raise, with one line that says what is wrong with the store."""
        reason = error.strerror or str(error)
        if full(error):
            return StoreUnavailable(f"the state directory {self.path} cannot be used: {reason}; free some space there")
        return StoreUnavailable(
            f"the state directory {self.path} cannot be used: {reason}; make it writable for this user "
            f"(members of the group hypertool may write /var/lib/hypertool), or set HYPERTOOL_STATE_DIR"
        )


def full(error: OSError) -> bool:
    """Whether the disk or the quota is full, which another directory or owner does not solve."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def own_directory() -> Path:
    """The user's own state directory: $XDG_STATE_HOME/hypertool."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(own_home(), ".local/state")
    return Path(base) / "hypertool"


def personal(kind: str) -> Path | None:
    """The folder for this user's own files of one kind, beside the store that HYPERTOOL_STATE_DIR names.

    None if it names none, or the store of a host with a service, in which members have no folders.
    """
    chosen = STATE_DIR.read()
    if not chosen or StateDirectory(Path(chosen)).served:
        return None
    return Path(chosen).absolute() / f"{kind}-{os.getuid()}"


def open_personal(folder: Path) -> Folder:
    """A folder of this user alone, created if missing. Raises OSError, EPERM if another user created it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Folder(folder.parent) as parent, contextlib.suppress(FileExistsError):
        os.mkdir(folder.name, 0o700, dir_fd=parent.descriptor)
    opened = Folder(folder.parent, folder.name)
    found = os.fstat(opened.descriptor)
    try:
        if found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"it belongs to user {found.st_uid}, not to this user ({os.geteuid()})")
        if found.st_mode & 0o022:
            os.fchmod(opened.descriptor, 0o700)
    except BaseException:
        opened.__exit__(None, None, None)
        raise
    return opened


def _writable(path: Path) -> bool:
    # os.path, because Path's own checks raise if a parent directory may not be searched.
    if os.path.isdir(path):
        written = path / LIVE if os.path.isdir(path / SHARED) else path
        return os.access(written, os.R_OK | os.W_OK | os.X_OK)
    return os.geteuid() == 0 and not os.path.lexists(path)


def locate() -> StateDirectory:
    """HYPERTOOL_STATE_DIR, else /var/lib/hypertool if this user may write it, else the user's own directory."""
    chosen = STATE_DIR.read()
    if chosen:
        return StateDirectory(Path(chosen))
    if _writable(HOST_DIRECTORY):
        return StateDirectory(HOST_DIRECTORY)
    own = own_directory()
    if os.path.exists(HOST_DIRECTORY):
        return StateDirectory(
            own,
            f"this user may not write {HOST_DIRECTORY}, so the numbers go to {own}, which the host's endpoint "
            f"does not see; add the user to the group hypertool (`usermod -aG hypertool USER`, then log in again)",
        )
    return StateDirectory(own)
