"""The store of a host with a service and several members, made as the role makes it; needs root."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

GROUP = SERVICE = 61000
ANN, BOB = 61001, 61002


def make_store(path: Path) -> Path:
    """The folders of a host with a service."""
    for place in (path.parent, *path.parents):
        if str(place).startswith("/tmp/"):
            place.chmod(place.stat().st_mode | 0o711)
    path.mkdir(exist_ok=True)
    os.chown(path, 0, GROUP)
    path.chmod(0o2750)
    for name, mode in (("live", 0o3770), ("requests", 0o3770), ("shared", 0o2750), ("service", 0o700)):
        folder = path / name
        folder.mkdir(exist_ok=True)
        os.chown(folder, SERVICE, GROUP)
        folder.chmod(mode)
    return path


def as_user(user: int, work: Callable[[], object]) -> None:
    """Run that in a child that is this user and a member of the group. Its failure is the test's."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([GROUP])
            os.setgid(GROUP if user == SERVICE else user)
            os.setuid(user)
            work()
            os._exit(0)
        except BaseException:
            os.write(writable, traceback.format_exc().encode()[-4000:])
            os._exit(1)
    os.close(writable)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(readable, "rb") as pipe:
        said = pipe.read().decode()
    assert status == 0, said or f"the child of user {user} ended with {status}"
