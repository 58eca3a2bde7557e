# Whole folders in places that others may write: visited, removed or given away without following a link.
from __future__ import annotations

import errno
import os
import stat

from ansible.module_utils.hypertool.paths import FOLDER, UnsafePath, facts_of, folder, parent


def identity(fd):
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino


def walk(top, path, entry, entered=None, left=None):
    """Visit everything below an open folder at any depth, with one descriptor at a time and without following links.

    `entry(fd, name, facts)` is called for each entry that is not a folder, `entered(fd)` for each folder below, and
    `left(fd, name)` in the parent folder when that folder is done.
    """
    fd, above = os.dup(top), []
    todo = _entries(fd, entry)
    try:
        while todo or above:
            if todo:
                name = todo.pop()
                try:
                    below = os.open(name, FOLDER, dir_fd=fd)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise UnsafePath(f"{name} below {path} was replaced while it was read; run this again") from error
                above.append((identity(fd), name, todo))
                os.close(fd)
                fd = below
                if entered:
                    entered(fd)
                todo = _entries(fd, entry)
                continue
            up = os.open("..", FOLDER, dir_fd=fd)
            os.close(fd)
            fd = up
            expected, name, todo = above.pop()
            if identity(fd) != expected:
                raise UnsafePath(f"{name} below {path} was moved away while it was visited; run this again")
            if left:
                left(fd, name)
    finally:
        os.close(fd)


def _entries(fd, entry):
    """The names of the folders in a folder; every other entry goes to `entry`."""
    folders = []
    for name in os.listdir(fd):
        facts = facts_of(name, fd)
        if facts is None:
            continue
        if stat.S_ISDIR(facts.st_mode):
            folders.append(name)
        else:
            entry(fd, name, facts)
    return folders


def remove(path):
    """Remove a file, a link itself, or a folder with its content; True if it existed."""
    try:
        with parent(path) as (fd, name):
            facts = facts_of(name, fd)
            if facts is None:
                return False
            if not stat.S_ISDIR(facts.st_mode):
                os.unlink(name, dir_fd=fd)
                return True
            with folder(path) as top:
                walk(
                    top,
                    path,
                    lambda at, one, _: os.unlink(one, dir_fd=at),
                    None,
                    lambda at, one: os.rmdir(one, dir_fd=at),
                )
            os.rmdir(name, dir_fd=fd)
    except FileNotFoundError:
        return False
    return True


def remove_empty(path):
    """Remove a folder if it is empty; True if it was removed."""
    try:
        with parent(path) as (fd, name):
            os.rmdir(name, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


class HandOver:
    """Changes the owner (None: keep it) and group of a folder and all its content.

    No link is followed. Hard-linked files keep their owner: the other name may belong to another user.
    """

    def __init__(self, uid, gid, check_mode=False):
        self.uid, self.gid, self.check_mode = uid, gid, check_mode
        self.given, self.left_alone = 0, []

    def whole(self, path):
        with folder(path) as top:
            self.folder(top)
            walk(top, path, self.entry, self.folder)
        return self

    def below(self, path):
        """Change the content of a folder, but not the folder itself."""
        with folder(path) as top:
            walk(top, path, self.entry, self.folder)
        return self

    def settled(self, facts):
        return facts.st_gid == self.gid and self.uid in (None, facts.st_uid)

    def owner(self):
        return -1 if self.uid is None else self.uid

    def folder(self, fd):
        if not self.settled(os.fstat(fd)):
            self.given += 1
            if not self.check_mode:
                os.fchown(fd, self.owner(), self.gid)

    def entry(self, fd, name, _facts):
        try:
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        except FileNotFoundError:
            return
        try:
            # Facts of the open descriptor: the name may refer to another file by now.
            facts, held = os.fstat(handle), f"/proc/self/fd/{handle}"
            if self.settled(facts):
                return
            if stat.S_ISLNK(facts.st_mode):
                # The link itself, not its target: no file may keep the id of a removed user.
                if self.uid == 0 and not self.check_mode:
                    os.chown(name, self.uid, self.gid, dir_fd=fd, follow_symlinks=False)
                return
            if facts.st_nlink > 1:
                self.left_alone.append(name)
                return
            self.given += 1
            if self.check_mode:
                return
            if facts.st_mode & (stat.S_ISUID | stat.S_ISGID):
                os.chmod(held, stat.S_IMODE(facts.st_mode) & 0o777)
            os.chown(held, self.owner(), self.gid)
        finally:
            os.close(handle)
