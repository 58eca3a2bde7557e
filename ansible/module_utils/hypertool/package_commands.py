# Runs a package manager's command non-interactively, and says what to look at when it fails.
from __future__ import annotations

import re
import time

from ansible.module_utils.hypertool.errors import HostError

# As long as apt-get itself waits for its lock; dpkg, apt-mark and rpm do not wait.
LOCK_SECONDS = 180
LOCKED = re.compile(
    r"(?i)could not get lock|lock was locked by another|unable to (acquire|lock)|is another process using"
)
ENVIRONMENT = {
    "LC_ALL": "C",
    # Suppress every prompt, including those of hooks in apt.
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "UCF_FORCE_CONFFOLD": "1",
    # Do not restart other services because of our packages.
    "NEEDRESTART_SUSPEND": "1",
}


class PackageCommands:
    def __init__(self, module):
        self.module = module

    def run(self, argv, doing):
        """The output of a command, retried while the package manager is locked: other plays may take minutes.

        Raises HostError if it fails.
        """
        deadline = time.monotonic() + LOCK_SECONDS
        rc, out, err = self.module.run_command(argv, environ_update=ENVIRONMENT)
        while rc != 0 and LOCKED.search(out + err) and time.monotonic() < deadline:
            time.sleep(2)
            rc, out, err = self.module.run_command(argv, environ_update=ENVIRONMENT)
        if rc != 0:
            tail = "\n".join((out + "\n" + err).strip().splitlines()[-12:])
            raise HostError(
                f"{doing} failed ({' '.join(argv)}, exit {rc}). Does this host reach its package mirror, and is no "
                f"other package operation running or broken? Last lines:\n{tail}"
            )
        return out
