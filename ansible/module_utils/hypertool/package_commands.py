# Runs a package manager's command without questions, and says what to look at when it fails.
from __future__ import annotations

import re
import time

from ansible.module_utils.hypertool.errors import HostError

# As long as apt-get waits by itself; dpkg, apt-mark and rpm do not.
LOCK_SECONDS = 180
LOCKED = re.compile(
    r"(?i)could not get lock|lock was locked by another|unable to (acquire|lock)|is another process using"
)
ENVIRONMENT = {
    "LC_ALL": "C",
    # No question that nobody answers, from whatever hooks into apt on this host.
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "UCF_FORCE_CONFFOLD": "1",
    # Other services are not restarted because of our packages.
    "NEEDRESTART_SUSPEND": "1",
}


class PackageCommands:
    def __init__(self, module):
        self.module = module

    def run(self, argv, doing):
        """Output of a command. One that finds the package manager locked is tried again: others may take minutes.

        Raises HostError where it fails.
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
