"""Other versions of Python for tests: those of this machine, and the newest one of Debian, unpacked, not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.debian_binaries import NEWEST_RELEASE, BinariesUnavailable, unpacked

SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14")
#: With the libraries that it and its modules load: a release's own libc is newer than that of the machine.
_PACKAGES = (
    "python3.14-minimal", "libpython3.14-minimal", "libpython3.14-stdlib", "libc6", "zlib1g", "libexpat1", "libssl3t64",
    "libffi8", "libsqlite3-0", "libbz2-1.0", "liblzma5", "libzstd1", "libuuid1",
)  # fmt: skip
_STARTER = """#!/bin/sh
exec {loader} --argv0 "$0" --library-path {libraries} {program} "$@"
"""


def here() -> dict[str, str]:
    """The program of each supported version on this machine: this one, on the PATH, or installed with pyenv."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for version in SUPPORTED:
        for path in [
            shutil.which(f"python{version}"),
            *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")),
        ]:
            if path is not None and subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode == 0:
                found.setdefault(version, str(path))
    return found


def newest_of_debian() -> str:
    """Python 3.14, as a program that finds its own libraries; others do not get them. Raises BinariesUnavailable."""
    top = unpacked(NEWEST_RELEASE, _PACKAGES) / "usr"
    starter = top / "bin" / "started-python3.14"
    if not starter.exists():
        loaders = sorted(top.glob("lib*/**/ld-linux*.so.*"))
        libraries = sorted(top.glob("lib/*-linux-gnu*"))
        if not loaders or not libraries:
            raise BinariesUnavailable(f"{top} has no loader for programs; delete it to unpack it again")
        staged = starter.with_name(f"{starter.name}.{os.getpid()}")
        program = top / "bin" / "python3.14"
        staged.write_text(_STARTER.format(loader=loaders[0], libraries=libraries[0], program=program))
        staged.chmod(0o755)
        staged.rename(starter)
    return str(starter)
