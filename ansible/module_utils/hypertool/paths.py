# Files and folders where others may write: reached by descriptors, so that no link of theirs is ever followed.
from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat

from ansible.module_utils.hypertool.errors import HostError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO without a writer is opened at once, and refused by its type.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
LINKS_AT_MOST = 40
BYTES_AT_MOST = 16 * 1024 * 1024
KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnsafePath(HostError):
    """A path is not what it has to be; the text names it and what to do."""


def kind(facts):
    return KINDS.get(stat.S_IFMT(facts.st_mode), "something unknown")


def refuse(path, found, expected):
    raise UnsafePath(
        f"{path} is {found}, expected {expected}. Nothing behind it was touched. See who put it there (ls -ld {path}), "
        "remove it, and run this again."
    )


def facts_of(name, fd):
    """The stat of an entry itself, None where there is none."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def only_root_writes(facts):
    return facts.st_uid == 0 and not facts.st_mode & 0o022


def _open_folder(path, make):
    """Component by component; only an ancestor may be a link, if it is root's own in a folder that only root writes."""
    fd, seen, links = os.open("/", FOLDER), "", 0
    todo = [(name, True) for name in os.path.normpath(path).split("/") if name]
    try:
        while todo:
            name, asked_for = todo.pop(0)
            shown = f"{seen}/{name}" if asked_for else f"{path} ({name})"
            facts = facts_of(name, fd)
            if facts is None and make:
                os.mkdir(name, 0o755, dir_fd=fd)
                facts = facts_of(name, fd)
            if facts is None:
                raise FileNotFoundError(2, "No such file or directory", path)
            if stat.S_ISLNK(facts.st_mode):
                target = os.readlink(name, dir_fd=fd)
                trusted = facts.st_uid == 0 and only_root_writes(os.fstat(fd))
                links += 1
                if not (asked_for and not todo) and trusted and links <= LINKS_AT_MOST:
                    todo = [(part, False) for part in target.split("/") if part not in ("", ".")] + todo
                    if target.startswith("/"):
                        os.close(fd)
                        fd = os.open("/", FOLDER)
                    seen = shown if asked_for else seen
                    continue
                refuse(shown, f"a symbolic link to {target}", "a folder")
            if not stat.S_ISDIR(facts.st_mode):
                refuse(shown, kind(facts), "a folder")
            try:
                below = os.open(name, FOLDER, dir_fd=fd)
            except OSError as error:
                raise UnsafePath(f"{shown} was exchanged while it was opened ({error}); run this again") from error
            os.close(fd)
            fd = below
            seen = shown if asked_for else seen
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def folder(path, make=False):
    """A descriptor of the folder that a path names; FileNotFoundError where it is absent and not to be made."""
    fd = _open_folder(path, make)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def parent(path, make=False):
    """A descriptor of the folder that holds a path, and the path's name in it."""
    with folder(os.path.dirname(os.path.normpath(path)), make) as fd:
        yield fd, os.path.basename(os.path.normpath(path))


def exists(path):
    """Whether there is anything under this name, a dangling link included."""
    try:
        with parent(path) as (fd, name):
            return facts_of(name, fd) is not None
    except FileNotFoundError:
        return False


def is_folder(path):
    """Whether it is a folder; a link or another thing in its place is an error, absence is not."""
    try:
        with folder(path):
            return True
    except FileNotFoundError:
        return False


def read_text(path, limit=BYTES_AT_MOST):
    """The content of a regular file; FileNotFoundError where it is absent."""
    with parent(path) as (fd, name):
        return read_text_at(fd, name, path, limit)


def read_text_at(fd, name, path, limit=BYTES_AT_MOST):
    facts = facts_of(name, fd)
    if facts is None:
        raise FileNotFoundError(2, "No such file or directory", path)
    if not stat.S_ISREG(facts.st_mode):
        refuse(path, kind(facts), "a file")
    try:
        handle = os.open(name, FILE, dir_fd=fd)
    except OSError as error:
        raise UnsafePath(f"{path} was exchanged while it was opened ({error}); run this again") from error
    with os.fdopen(handle, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            refuse(path, kind(facts), "a file")
        content = stream.read(limit + 1)
    if len(content) > limit:
        refuse(path, f"longer than {limit} bytes", f"a file of at most {limit} bytes")
    return content.decode("utf-8", "replace")


def write_text(path, text, uid=0, gid=0, mode=0o644):
    """Write a file beside its name and put it in place in one step; only in a folder that nobody but root writes."""
    with parent(path) as (fd, name):
        write_text_at(fd, name, path, text, uid, gid, mode)


def write_text_at(fd, name, path, text, uid=0, gid=0, mode=0o644):
    where = os.fstat(fd)
    if not only_root_writes(where) and os.geteuid() == 0:
        refuse(
            os.path.dirname(path),
            f"writable by others than root (user {where.st_uid}, mode {stat.S_IMODE(where.st_mode):o})",
            "a folder of root's, mode 755 at most",
        )
    facts = facts_of(name, fd)
    if facts is not None and stat.S_ISDIR(facts.st_mode):
        refuse(path, "a folder", "a file")
    staged = f".{name}.{secrets.token_hex(6)}"
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            set_attributes(stream.fileno(), uid, gid, mode)
            os.fsync(stream.fileno())
        os.replace(staged, name, src_dir_fd=fd, dst_dir_fd=fd)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged, dir_fd=fd)
        raise


def differs(facts, uid, gid, mode):
    return (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) != (uid, gid, mode)


def set_attributes(handle, uid, gid, mode):
    """Owner, group and mode of an open file or folder; True if one of them was not as wanted."""
    facts = os.fstat(handle)
    if not differs(facts, uid, gid, mode):
        return False
    if (facts.st_uid, facts.st_gid) != (uid, gid):
        # Nobody gets more rights for the moment between the two steps.
        os.fchmod(handle, stat.S_IMODE(facts.st_mode) & mode)
        os.fchown(handle, uid, gid)
    os.fchmod(handle, mode)
    return True


def identity(fd):
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino


def walk(top, path, entry, entered=None, left=None):
    """Visit everything below an open folder, however deep, with one descriptor at a time and without following links.

    `entry(fd, name, facts)` is called for what is no folder, `entered(fd)` for each folder below, and `left(fd, name)`
    in the folder above when that is done.
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
                    raise UnsafePath(
                        f"{name} below {path} was exchanged while it was visited; run this again"
                    ) from error
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
    """The names of the folders in a folder; everything else goes to `entry`."""
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
    """Remove a file, a link itself, or a folder with all that is in it; True if there was something."""
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
    """Remove a folder if it is empty; True if it went."""
    try:
        with parent(path) as (fd, name):
            os.rmdir(name, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


class HandOver:
    """Gives a folder and all that is in it to a user and a group; links and files with a second name are left alone.

    A second name (a hard link) may be anybody's file elsewhere, so its owner is not ours to change.
    """

    def __init__(self, uid, gid, check_mode=False):
        self.uid, self.gid, self.check_mode = uid, gid, check_mode
        self.given, self.left_alone = 0, []

    def whole(self, path):
        with folder(path) as top:
            self.folder(top)
            walk(top, path, self.entry, self.folder)
        return self

    def folder(self, fd):
        facts = os.fstat(fd)
        if (facts.st_uid, facts.st_gid) != (self.uid, self.gid):
            self.given += 1
            if not self.check_mode:
                os.fchown(fd, self.uid, self.gid)

    def entry(self, fd, name, _facts):
        try:
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        except FileNotFoundError:
            return
        try:
            # Of what the descriptor holds, which cannot be exchanged any more.
            facts, held = os.fstat(handle), f"/proc/self/fd/{handle}"
            if stat.S_ISLNK(facts.st_mode) or (facts.st_uid, facts.st_gid) == (self.uid, self.gid):
                return
            if facts.st_nlink > 1:
                self.left_alone.append(name)
                return
            self.given += 1
            if self.check_mode:
                return
            if facts.st_mode & (stat.S_ISUID | stat.S_ISGID):
                os.chmod(held, stat.S_IMODE(facts.st_mode) & 0o777)
            os.chown(held, self.uid, self.gid)
        finally:
            os.close(handle)
