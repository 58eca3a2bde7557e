# A folder that a service and its group share: created or corrected by descriptor, taking over old files in it.
from __future__ import annotations

import os
import stat

from ansible.module_utils.hypertool import paths, walks

# The archive of a busy host has some hundred kilobytes; an alert log is rotated at a few megabytes.
LEGACY_BYTES_AT_MOST = 64 * 1024 * 1024


class SharedFolder:
    """One folder with its wanted owner, group and mode; `warnings` are shown to the user of the play."""

    def __init__(self, path, uid, gid, mode, check_mode=False):
        self.path, self.uid, self.gid, self.mode = path, uid, gid, mode
        self.check_mode = check_mode
        self.warnings = []

    def bring_about(self, contents=False, legacy=(), obsolete=()):
        """What was done (in check mode: would be done), one text each."""
        if not paths.is_folder(self.path):
            if not self.check_mode:
                self.create()
            return [f"created {self.path}"]
        done = []
        with paths.folder(self.path) as fd:
            before = os.fstat(fd)
            if paths.access_lists(fd):
                done.append(f"removed the access lists of {self.path}")
            if done or paths.differs(before, self.uid, self.gid, self.mode):
                was = f"{before.st_uid}:{before.st_gid} {stat.S_IMODE(before.st_mode):o}"
                done.append(f"changed {self.path} from {was} to {self.uid}:{self.gid} {self.mode:o}")
                if not self.check_mode:
                    paths.set_attributes(fd, self.uid, self.gid, self.mode)
            for name in legacy:
                done += self.take_legacy(fd, name)
            for name in obsolete:
                done += self.remove(fd, name)
        if contents:
            done += self.give(self.uid, self.gid)
        elif before.st_gid == 0 and self.gid != 0 and not legacy:
            # An uninstallation gave it to root. Files keep their owners, because each snapshot counts for its owner.
            done += self.give(None, self.gid)
        return done

    def remove(self, fd, name):
        """Remove anything that is not a folder; of a link, only the link itself."""
        facts = paths.facts_of(name, fd)
        if facts is None or stat.S_ISDIR(facts.st_mode):
            return []
        if not self.check_mode:
            os.unlink(name, dir_fd=fd)
        return [f"removed {os.path.join(self.path, name)}"]

    def create(self):
        with paths.parent(self.path) as (fd, name):
            os.mkdir(name, 0o700, dir_fd=fd)
        with paths.folder(self.path) as fd:
            paths.set_attributes(fd, self.uid, self.gid, self.mode)

    def give(self, uid, gid):
        done = walks.HandOver(uid, gid, self.check_mode).below(self.path)
        if done.left_alone:
            names = ", ".join(done.left_alone[:5])
            self.warnings.append(f"{self.path}: files that have a second name elsewhere keep their owner: {names}")
        return [f"gave {done.given} files in {self.path} to their owner"] if done.given else []

    def take_legacy(self, fd, name):
        """Replace a file by a copy that only root writes: other processes may have the old one open for writing."""
        path = os.path.join(self.path, name)
        facts = paths.facts_of(name, fd)
        if facts is None or (stat.S_ISREG(facts.st_mode) and not paths.differs(facts, 0, self.gid, 0o640)):
            return []
        content = paths.read_bytes_at(fd, name, path, LEGACY_BYTES_AT_MOST, only_name=True)
        if not self.check_mode:
            paths.write_bytes_at(fd, name, path, content, 0, self.gid, 0o640)
        return [f"took {path} over, {len(content)} bytes unchanged, now writable by root only"]
