# Records what exists before the first change, at every path that our packages own or may delete; and restores it.
from __future__ import annotations

import hashlib
import os
import shutil
import stat

# Larger files and further entries are not copied: they are data, which none of our packages touches.
COPIED_BYTES = 256 * 1024 * 1024
ENTRIES = 5000
DATA_DEPTH = 2
# Our folders inside a package's folder; what an uninstallation left there is ours.
OURS = ("hypertool", "hypertool-agent", "hypertool-alertmanager")


def digest_of(path, kind="sha256"):
    total = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            total.update(block)
    return total.hexdigest()


def facts_of(path):
    """Kind, owner, group and mode at a path; for a link also its target."""
    found = os.lstat(path)
    facts = {"user": found.st_uid, "group": found.st_gid, "mode": stat.S_IMODE(found.st_mode)}
    if stat.S_ISLNK(found.st_mode):
        return {**facts, "kind": "link", "target": os.readlink(path)}
    if stat.S_ISDIR(found.st_mode):
        return {**facts, "kind": "folder"}
    return {**facts, "kind": "file" if stat.S_ISREG(found.st_mode) else "other"}


def real(path):
    """The path with all links in its folders resolved; the last component may be a link."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


class Inventory:
    """Records what exists, once per path; `restore` puts back what is gone or was replaced."""

    def __init__(self, record, copies=True):
        self.record = record
        # Check mode looks and copies nothing.
        self.copies = copies

    def look_at_folders(self, folders, packaged=()):
        """Record the content of folders; `packaged` are our packages' paths. True if something was recorded.

        Files below /etc are copied; for data only the upper folders are recorded, because we write nothing there.
        Where a folder is a link (data on another disk), the link is recorded, and the folder that it leads to.
        """
        due = [folder for folder in folders if folder not in self.record.looked]
        packaged = {real(path) for path in packaged}
        for folder in due:
            configuration, there = folder.startswith("/etc/"), os.path.realpath(folder)
            if os.path.islink(folder):
                self.record.paths.setdefault(folder, facts_of(folder))
            if os.path.isdir(there):
                self._look(there, packaged, configuration)
                self.record.looked.add(there)
        self.record.looked |= set(due)
        return bool(due)

    def _look(self, folder, packaged, configuration):
        entries = [name for name in os.listdir(folder) if name not in OURS]
        if not entries and os.listdir(folder):
            return
        found = {}
        for path in [folder, *self._below(folder, None if configuration else DATA_DEPTH)]:
            if path in packaged:
                continue
            found[path] = facts_of(path)
            if len(found) > ENTRIES:
                break
        # If a folder holds nothing but the package's own files, the package may remove it.
        if set(found) - {folder} or folder not in packaged:
            self.record.paths[folder] = facts_of(folder)
            for path, facts in found.items():
                self.record.paths.setdefault(path, facts)
                if configuration:
                    self.copy(path)

    @staticmethod
    def _below(folder, depth):
        for top, folders, files in os.walk(folder):
            if top == folder:
                folders[:] = [name for name in folders if name not in OURS]
            yield from (os.path.join(top, name) for name in sorted(folders + files))
            if depth is not None and os.path.relpath(top, folder).count("/") >= depth - 1 and top != folder:
                folders[:] = []

    def present(self, paths):
        """The paths that exist and are not recorded yet."""
        return [path for path in paths if os.path.lexists(path) and path not in self.record.paths]

    def look_at_files(self, paths):
        """Record and copy existing files; returns those that were not recorded before."""
        # Resolve links first: a package may write /lib/systemd for /usr/lib/systemd.
        new = self.present(real(path) for path in paths)
        for path in new:
            facts = facts_of(path)
            if facts["kind"] in ("file", "link"):
                self.record.paths[path] = facts
                self.copy(path)
        return [path for path in new if path in self.record.paths]

    def copy(self, path):
        """Keep a file's content beside the record, with its owner, mode and times."""
        facts = self.record.paths[path]
        if not self.copies or facts["kind"] != "file" or os.path.getsize(path) > COPIED_BYTES:
            return
        target = self.record.copy_of(path)
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        shutil.copy2(path, target)
        os.chmod(target, 0o600)
        facts["sha256"] = digest_of(target)

    def restore(self, packaged):
        """Restore what is gone or has a package's content now (`packaged`: md5 by path); returns the paths."""
        done = []
        for path, facts in sorted(self.record.paths.items()):
            # A user may have replaced a folder on the way by a link meanwhile: it is not followed.
            if not os.path.isdir(os.path.dirname(path)) or real(path) != path:
                continue
            if self._restore_content(path, facts, packaged.get(path)) | self._restore_attributes(path, facts):
                done.append(path)
        return done

    def _restore_content(self, path, facts, packaged):
        here = os.path.lexists(path)
        if facts["kind"] == "folder" and not here:
            os.mkdir(path)
            return True
        if facts["kind"] == "link" and not here:
            os.symlink(facts["target"], path)
            return True
        if facts["kind"] != "file" or "sha256" not in facts or (here and facts_of(path)["kind"] != "file"):
            return False
        # Keep what the owner changed meanwhile; only a package's own content is replaced.
        if here and (packaged is None or digest_of(path, "md5") != packaged or digest_of(path) == facts["sha256"]):
            return False
        staged = path + ".hypertool-before"
        shutil.copy2(self.record.copy_of(path), staged)
        os.chown(staged, facts["user"], facts["group"])
        os.chmod(staged, facts["mode"])
        os.replace(staged, path)
        return True

    @staticmethod
    def _restore_attributes(path, facts):
        if not os.path.lexists(path):
            return False
        now = facts_of(path)
        if now["kind"] != facts["kind"] or all(now[key] == facts[key] for key in ("user", "group", "mode")):
            return False
        os.chown(path, facts["user"], facts["group"], follow_symlinks=False)
        if facts["kind"] != "link":
            os.chmod(path, facts["mode"])
        return True
