# Reads what is on a host (packages, users, units) and keeps the record of what it was like before the first install.
from __future__ import annotations

import grp
import json
import os
import pwd
import tempfile
import time

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.errors import HostError

RECORD = "/var/lib/hypertool-install/record.json"


class Record:
    """What the installation added: packages (with dependencies), users; and how units and holds were before it.

    It is written before each change, so that an interrupted installation can still be taken back whole.
    """

    def __init__(self, path=RECORD):
        paths.require_private(os.path.dirname(path))
        self.path = path
        self.packages = set()
        self.users = {}
        self.units = {}
        # Whether a package that we hold at its version was held before.
        self.holds = {}
        # Packages that the set-up script added before Ansible could run, one name a line.
        self.bootstrap = os.path.join(os.path.dirname(path), "bootstrap-packages")
        if os.path.exists(self.bootstrap):
            with open(self.bootstrap, encoding="utf-8") as handle:
                self.packages |= set(handle.read().split())
        try:
            with open(path, encoding="utf-8") as handle:
                data = json.load(handle)
        except FileNotFoundError:
            return
        except ValueError as error:
            raise HostError(
                f"{path} is not readable as JSON ({error}). It says what the installation added; restore it from a "
                "backup, or delete it and remove the packages by hand."
            ) from error
        self.packages |= set(data.get("packages", []))
        self.users = dict(data.get("users", {}))
        self.units = dict(data.get("units", {}))
        self.holds = dict(data.get("holds", {}))

    def remember(self, module, users, units):
        """Note users and units the first time they are met; True if something was noted."""
        noted = False
        for name in users:
            if name not in self.users:
                self.users[name] = user_exists(name) or group_exists(name)
                noted = True
        for unit in units:
            if unit not in self.units:
                state = unit_properties(module, unit, "LoadState", "ActiveState", "UnitFileState")
                self.units[unit] = {
                    "loaded": state.get("LoadState") == "loaded",
                    "active": state.get("ActiveState") == "active",
                    "enabled": state.get("UnitFileState") == "enabled",
                }
                noted = True
        return noted

    def save(self):
        folder = os.path.dirname(self.path)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        content = {"packages": sorted(self.packages), "units": self.units, "users": self.users, "holds": self.holds}
        handle, staged = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=1, sort_keys=True)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(staged, self.path)

    def delete(self):
        for path in (self.path, self.bootstrap):
            if os.path.exists(path):
                os.unlink(path)
        folder = os.path.dirname(self.path)
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def user_exists(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def group_exists(name):
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def unit_properties(module, unit, *names):
    """Properties of a unit as systemd knows it now; LoadState is `not-found` for one that is not installed."""
    _, out, _ = module.run_command(["systemctl", "show", unit, "--property=" + ",".join(names)])
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def changed_since_start(module, unit, paths):
    """Whether one of the paths is newer than the unit's start; a rename counts as a change, a missing path does not."""
    newest = max((os.lstat(path).st_ctime for path in paths if os.path.lexists(path)), default=0.0)
    since_boot = (
        int(unit_properties(module, unit, "ActiveEnterTimestampMonotonic").get("ActiveEnterTimestampMonotonic") or 0)
        / 1e6
    )
    return newest > time.time() - (time.monotonic() - since_boot)


def wait_for_unit(module, unit, ask, timeout, restarts=None):
    """None when the unit is active and `ask()` has no complaint, else a text that says what it does instead.

    With `restarts`, so many restarts by itself end the wait early.
    """
    deadline = time.monotonic() + timeout
    names = ("ActiveState", "SubState", "NRestarts")
    before = int(unit_properties(module, unit, "NRestarts").get("NRestarts") or 0)
    while True:
        complaint = ask()
        now = unit_properties(module, unit, *names)
        if now.get("ActiveState") == "active" and not complaint:
            return None
        again = int(now.get("NRestarts") or 0) - before
        gave_up = now.get("ActiveState") == "failed" or (restarts is not None and again >= restarts)
        if gave_up or time.monotonic() > deadline:
            state = f"{now.get('ActiveState')} ({now.get('SubState')})"
            return f"it is {state}, {now.get('NRestarts')} restarts by itself; {complaint or 'it answers'}"
        time.sleep(0.1)


def journal_tail(module, unit, lines=15):
    _, out, _ = module.run_command(
        ["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output", "cat"]
    )
    return out.strip() or "(the journal has no line of it)"
