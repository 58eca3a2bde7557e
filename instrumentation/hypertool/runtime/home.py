"""The home folder of the user that this process runs as."""

from __future__ import annotations

import os


def own_home() -> str:
    """$HOME, unless the folder is another user's: `sudo -E` keeps it.

    Files of root in somebody's home are in that person's way, and whoever owns a home chooses where its links lead.
    Sessions of agents are read below $HOME itself: an agent that runs in such an environment writes there.
    """
    home = os.path.expanduser("~")
    if _owner(home) in (None, 0, os.geteuid()):
        return home
    import pwd

    try:
        own = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return home
    return own if _owner(own) == os.geteuid() else home


def _owner(folder: str) -> int | None:
    try:
        return os.stat(folder).st_uid
    except OSError:
        return None
