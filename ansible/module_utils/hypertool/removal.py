# Takes packages back without deleting what was on the host before them.
from __future__ import annotations

import os

from ansible.module_utils.hypertool.inventory import Inventory, real

# Files that dpkg puts beside a configuration file.
BESIDE = (".dpkg-dist", ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".ucf-dist", ".ucf-new", ".ucf-old")
# Everything below the folders is hidden from the command in a mount namespace of its own.
HIDE = """
set -e
while [ "$1" != -- ]; do mount -t tmpfs -o mode=0755 hypertool-hidden "$1"; shift; done
shift
exec "$@"
"""


class Removal:
    """Purging runs a package's script, which deletes its folders with all in them: foreign ones are hidden from it."""

    def __init__(self, module, packages, record):
        self.module = module
        self.packages = packages
        self.record = record
        self.inventory = Inventory(record)

    def run(self, names):
        """Remove the packages; what went, and what was put back."""
        removable = self.packages.removable(names)
        owned, contents = {name: self.packages.paths_of(name) for name in removable}, {}
        for name in removable:
            contents.update({real(path): md5 for path, md5 in self.packages.digests_of(name).items()})
        # `rc` before us is `rc` after us: their configuration and data are somebody's.
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
        """The folders of before that are still there."""
        tops = [path for path in self.record.looked if path in self.record.paths]
        return [path for path in tops if os.path.isdir(path) and not os.path.islink(path)]

    @staticmethod
    def _through(folders):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", HIDE, "sh", *folders, "--"]

    def _can_hide(self):
        return self.module.run_command([*self._through(["/mnt"]), "true"])[0] == 0

    def _delete(self, path):
        """One path of a package that was hidden from it; neither what was here before nor what is not empty."""
        for candidate in [path, *(path + ending for ending in BESIDE)]:
            if real(candidate) in self.record.paths or not os.path.lexists(candidate):
                continue
            if os.path.isdir(candidate) and not os.path.islink(candidate):
                if not os.listdir(candidate):
                    os.rmdir(candidate)
            else:
                os.unlink(candidate)
