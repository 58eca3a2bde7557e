# Removes packages without deleting what was on the host before them.
from __future__ import annotations

import os

from ansible.module_utils.hypertool.inventory import Inventory, real

# Files that dpkg writes beside a configuration file.
BESIDE = (".dpkg-dist", ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".ucf-dist", ".ucf-new", ".ucf-old")
# Hides the content of folders from a command, in a private mount namespace.
HIDE = """
set -e
while [ "$1" != -- ]; do mount -t tmpfs -o mode=0755 hypertool-hidden "$1"; shift; done
shift
exec "$@"
"""


class Removal:
    """Removes packages. Purging runs their scripts, which delete whole folders: earlier content is hidden from them."""

    def __init__(self, module, packages, record):
        self.module = module
        self.packages = packages
        self.record = record
        self.inventory = Inventory(record)

    def run(self, names):
        """Remove the packages; returns the removed packages and the restored paths."""
        removable = self.packages.removable(names)
        # Links are resolved now: a package's removal takes away one that stands for its folder.
        owned, contents = {name: list(map(real, self.packages.paths_of(name))) for name in removable}, {}
        for name in removable:
            contents.update({real(path): md5 for path, md5 in self.packages.digests_of(name).items()})
        # Restore the earlier state `rc`: that configuration and data existed before us.
        back = {name for name in removable if self.record.states.get(name) == "rc"}
        self.packages.take_away(sorted(back), purge=False)
        gone = sorted(set(removable) - back)
        hidden = sorted(self._hidden())
        if not hidden:
            self.packages.take_away(gone, purge=True)
        elif self._can_hide():
            self.packages.take_away(gone, purge=True, through=self._through(hidden))
            for path in sorted({path for name in gone for path in owned[name]}, reverse=True):
                if any(path.startswith(folder + "/") for folder in hidden):
                    self._delete(path)
        else:
            self.packages.take_away(gone, purge=False)
            if gone:
                self.module.warn(
                    f"removed and not purged: {', '.join(gone)}. Purging them would delete what was in "
                    f"{', '.join(hidden)} before us, and it cannot be hidden on this host (unshare --mount fails)."
                )
        return removable, self.inventory.restore(contents)

    def _hidden(self):
        """Folders from before the installation that still exist."""
        tops = [path for path in self.record.looked if path in self.record.paths]
        return [path for path in tops if os.path.isdir(path) and not os.path.islink(path)]

    @staticmethod
    def _through(folders):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", HIDE, "sh", *folders, "--"]

    def _can_hide(self):
        return self.module.run_command([*self._through(["/mnt"]), "true"])[0] == 0

    def _delete(self, path):
        """Delete one path of a package whose folder was hidden; keep earlier content and non-empty folders."""
        for candidate in [path, *(path + ending for ending in BESIDE)]:
            if real(candidate) in self.record.paths or not os.path.lexists(candidate):
                continue
            if os.path.isdir(candidate) and not os.path.islink(candidate):
                if not os.listdir(candidate):
                    os.rmdir(candidate)
            else:
                os.unlink(candidate)
