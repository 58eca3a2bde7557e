# What a module takes from the host's settings, and what it does not: search path, permissions of new files.
from __future__ import annotations

import contextlib
import os

# Who becomes root by `su` keeps the search path of a user, without the programs of an administrator.
FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
# A hardened host's 077 would make programs and configuration that their services cannot read.
UMASK = 0o022


# The play that changes this host; gone at a reboot.
PLAY = "/run/hypertool-install/play.json"


def settle():
    """Make this process independent of the login that started it, and renew the play's lock. Every module starts so."""
    with contextlib.suppress(OSError):
        os.utime(PLAY)
    os.umask(UMASK)
    have = [folder for folder in os.environ.get("PATH", "").split(":") if folder]
    os.environ["PATH"] = ":".join(have + [folder for folder in FOLDERS if folder not in have])
