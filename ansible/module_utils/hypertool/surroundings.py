# The process settings of a module: search path, permissions of new files, and the play's lock.
from __future__ import annotations

import contextlib
import os

# After `su`, root keeps the user's search path, which lacks the administrator's programs.
FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
# A hardened host's umask of 077 would make programs and configuration unreadable for their services.
UMASK = 0o022


# The play that changes this host; removed by a reboot.
PLAY = "/run/hypertool-install/play.json"


def settle():
    """Make this process independent of the login environment, and renew the play's lock; every module's first step."""
    with contextlib.suppress(OSError):
        os.utime(PLAY)
    os.umask(UMASK)
    have = [folder for folder in os.environ.get("PATH", "").split(":") if folder]
    os.environ["PATH"] = ":".join(have + [folder for folder in FOLDERS if folder not in have])
