# What is on a host before the first change, at every path that packages of ours own or may delete; and putting it back.
from __future__ import annotations

import hashlib
import os
import shutil
import stat

# Larger files and more entries are not copied: they are data, which no package of ours touches.
COPIED_BYTES = 256 * 1024 * 1024
ENTRIES = 5000
DATA_DEPTH = 2
# Folders of ours below a package's; what an uninstallation kept there is not somebody else's.
OURS = ("hypertool", "hypertool-agent", "hypertool-alertmanager")


def digest_of(path, kind="sha256"):
    total = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            total.update(block)
    return total.hexdigest()


def facts_of(path):
    """Kind, owner, group and mode of what is at a path; the target of a link."""
    found = os.lstat(path)
    facts = {"user": found.st_uid, "group": found.st_gid, "mode": stat.S_IMODE(found.st_mode)}
    if stat.S_ISLNK(found.st_mode):
        return {**facts, "kind": "link", "target": os.readlink(path)}
    if stat.S_ISDIR(found.st_mode):
        return {**facts, "kind": "folder"}
    return {**facts, "kind": "file" if stat.S_ISREG(found.st_mode) else "other"}


def real(path):
    """The path with every folder on the way by its own name; what it ends in may be a link."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


class Inventory:
    """Notes what is there, once for each path, in a record; `restore` puts back what is gone or was replaced."""

    def __init__(self, record, copies=True):
        self.record = record
        # Check mode looks and copies nothing.
        self.copies = copies

    def look_at_folders(self, folders, packaged=()):
        """Note what is below them; `packaged` are paths of packages that we installed. True if something was noted.

        Files below /etc are copied; of data only the upper folders are noted, because nothing of ours writes there.
        """
        due = [folder for folder in folders if folder not in self.record.looked]
        for folder in due:
            if os.path.isdir(folder) and not os.path.islink(folder):
                self._look(folder, set(packaged))
        self.record.looked |= set(due)
        return bool(due)

    def _look(self, folder, packaged):
        entries = [name for name in os.listdir(folder) if name not in OURS]
        if not entries and os.listdir(folder):
            return
        configuration, found = folder.startswith("/etc/"), {}
        for path in [folder, *self._below(folder, None if configuration else DATA_DEPTH)]:
            if path in packaged:
                continue
            found[path] = facts_of(path)
            if len(found) > ENTRIES:
                break
        # Where nothing but a package's own is there, it is the package's to take away.
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
        """Those of the paths at which something is that was not noted yet."""
        return [path for path in paths if os.path.lexists(path) and path not in self.record.paths]

    def look_at_files(self, paths):
        """Note and copy files that are there already; the ones that are not noted yet are returned."""
        # By the one name without links: a package may call a folder /lib/systemd that is /usr/lib/systemd.
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
        """Put back what is gone, and files whose content is a package's now (`packaged`: md5 by path); the paths."""
        done = []
        for path, facts in sorted(self.record.paths.items()):
            # A folder on the way may be somebody's, who put a link in its place meanwhile: it is not followed.
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
        # What its owner changed meanwhile is the owner's; only what a package put there is replaced.
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
