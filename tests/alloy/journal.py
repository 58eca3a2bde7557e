"""Writes a real systemd journal into a directory, with the distribution's own systemd-journal-remote."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.support.debian_binaries import BinariesUnavailable, unpacked

_INSTALLED = Path("/usr/lib/systemd/systemd-journal-remote")
#: The package and those of its libraries that a small system lacks; the journal's format must suit the local reader.
_PACKAGES = {
    "bookworm": ("systemd-journal-remote", "libsystemd-shared", "libmicrohttpd12"),
    "trixie": ("systemd-journal-remote", "libsystemd-shared", "libmicrohttpd12t64"),
}
_ID = "0123456789abcdef0123456789abcdef"


def journal_obstacle() -> str:
    """Why no journal can be written or read here; empty if it can."""
    if not sys.platform.startswith("linux"):
        return f"a journal needs Linux, this is {sys.platform}"
    try:
        _program()
    except BinariesUnavailable as error:
        return f"systemd-journal-remote cannot be had: {error}"
    return ""


class JournalWriter:
    """Lines of units, as journald would have written them: `with JournalWriter(directory) as journal: ...`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> JournalWriter:
        program, environment = _program()
        self._log = (self._directory.parent / "journal-remote.log").open("ab")
        self._process = subprocess.Popen(
            [str(program), f"--output={self._directory / 'remote.journal'}", "-"],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def write(self, text: str, unit: str = "load.service", priority: int = 6, **fields: str) -> None:
        """One line, now."""
        now = time.time_ns() // 1000
        entry = {
            "__REALTIME_TIMESTAMP": str(now),
            "__MONOTONIC_TIMESTAMP": str(now),
            "_BOOT_ID": _ID,
            "_MACHINE_ID": _ID,
            "MESSAGE": text,
            "PRIORITY": str(priority),
            "_SYSTEMD_UNIT": unit,
            **fields,
        }
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{key}={value}\n" for key, value in entry.items()).encode() + b"\n")
        self._process.stdin.flush()


def _program() -> tuple[Path, dict[str, str]]:
    """The program, and the environment that lets it find its libraries."""
    if _INSTALLED.exists():
        return _INSTALLED, dict(os.environ)
    if shutil.which("apt-get") is None:
        raise BinariesUnavailable("neither it nor apt-get is here")
    codename = next(
        (
            line.partition("=")[2].strip('"')
            for line in Path("/etc/os-release").read_text().splitlines()
            if line.startswith("VERSION_CODENAME=")
        ),
        "",
    )
    if codename not in _PACKAGES:
        raise BinariesUnavailable(f"no packages known for {codename or 'this system'}; install systemd-journal-remote")
    root = unpacked(codename, _PACKAGES[codename])
    found = [
        path for path in (root / "usr/lib/systemd", root / "lib/systemd") if (path / "systemd-journal-remote").exists()
    ]
    if not found:
        raise BinariesUnavailable(f"{root} holds no systemd-journal-remote; delete it to unpack it again")
    libraries = {str(path.parent) for path in root.rglob("*.so*")}
    return found[0] / "systemd-journal-remote", {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(sorted(libraries))}
