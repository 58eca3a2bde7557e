# The record of an installation: what it added to the host, and the host's earlier state.
from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.host import group_exists, unit_properties, user_exists

RECORD = "/var/lib/hypertool-install/record.json"


def start_links(unit):
    """The links with which systemd, or a script of /etc/init.d, starts a unit at boot."""
    name = glob.escape(unit.removesuffix(".service"))
    patterns = (f"/etc/rc?.d/[SK][0-9][0-9]{name}", f"/etc/systemd/system/*.wants/{glob.escape(unit)}")
    return sorted(path for pattern in patterns for path in glob.glob(pattern))


def write_json(path, content):
    """Replace a file of ours, which only root reads, as a whole or not at all; its folder is made if it is missing."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    handle, staged = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(staged, path)


class Record:
    """What the installation added (packages with dependencies, users), and the earlier state of units and holds.

    It is written before each change, so that an interrupted installation can still be undone completely.
    """

    def __init__(self, path=RECORD):
        self.path = path
        paths.require_private(os.path.dirname(path))
        self.folder = os.path.dirname(path)
        self.packages = set()
        self.users = {}
        self.units = {}
        # Users and units that we really created or changed; records of older versions list no others.
        self.touched = set()
        # Whether a package that we hold at its version was held before.
        self.holds = {}
        # dpkg's state of each package before our first installation, such as `ii` or `rc`; empty if it was absent.
        self.states = {}
        # What existed at the paths of our packages: facts of files and folders, by path.
        self.paths = {}
        # The folders that were inspected, including absent ones.
        self.looked = set()
        # Services that ran before the first change.
        self.services = []
        # Copies of files that a package may overwrite or delete.
        self.copies = os.path.join(self.folder, "before")
        # Packages that the set-up script added before Ansible could run, one name per line.
        self.bootstrap = os.path.join(self.folder, "bootstrap-packages")
        if os.path.exists(self.bootstrap):
            with open(self.bootstrap, encoding="utf-8") as handle:
                self.packages |= set(handle.read().split())
        self._read()

    def _read(self):
        try:
            with open(self.path, encoding="utf-8") as handle:
                data = json.load(handle)
        except FileNotFoundError:
            return
        except ValueError as error:
            raise HostError(
                f"{self.path} is not readable as JSON ({error}). It says what the installation added; restore it from "
                "a backup, or delete it and remove the packages by hand."
            ) from error
        self.packages |= set(data.get("packages", []))
        self.users = dict(data.get("users", {}))
        self.units = dict(data.get("units", {}))
        self.touched = set(data["touched"]) if "touched" in data else set(self.users) | set(self.units)
        self.holds = dict(data.get("holds", {}))
        self.states = dict(data.get("states", {}))
        self.paths = dict(data.get("paths", {}))
        self.looked = set(data.get("looked", []))
        self.services = list(data.get("services", []))

    def remember(self, module, users, units, touched=True):
        """Record users and units when they are first seen, and which ones change; True if something was recorded."""
        noted = touched and not set(users) | set(units) <= self.touched
        self.touched |= set(users) | set(units) if touched else set()
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
                    # A package that was removed but not purged leaves the links that start its unit.
                    "links": start_links(unit),
                }
                noted = True
        return noted

    def copy_of(self, path):
        """Where the copy of an earlier file is kept."""
        return self.copies + path

    def save(self):
        content = {
            "packages": sorted(self.packages),
            "units": self.units,
            "users": self.users,
            "touched": sorted(self.touched),
            "holds": self.holds,
            "states": self.states,
            "paths": self.paths,
            "looked": sorted(self.looked),
            "services": self.services,
        }
        write_json(self.path, content)

    def delete(self):
        for path in (self.path, self.bootstrap):
            if os.path.exists(path):
                os.unlink(path)
        if os.path.isdir(self.copies):
            shutil.rmtree(self.copies)
        if os.path.isdir(self.folder) and not os.listdir(self.folder):
            os.rmdir(self.folder)
