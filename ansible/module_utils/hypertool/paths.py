# Files and folders in places that others may write: opened by descriptor, so that no foreign link is followed.
from __future__ import annotations

import contextlib
import os
import secrets
import stat

from ansible.module_utils.hypertool.errors import HostError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO without a writer must not block; its type is then refused.
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
    """A path is not of the expected kind or owner; the text names it and the next step."""


def kind(facts):
    return KINDS.get(stat.S_IFMT(facts.st_mode), "something unknown")


def refuse(path, found, expected):
    raise UnsafePath(
        f"{path} is {found}, expected {expected}. Nothing behind it was touched. See who put it there (ls -ld {path}), "
        "remove it, and run this again."
    )


def facts_of(name, fd):
    """The stat of an entry itself; None if it does not exist."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def only_root_writes(facts):
    return facts.st_uid == 0 and not facts.st_mode & 0o022


def only_root_exchanges(facts, entry):
    """Whether only root can replace an entry of a folder."""
    return only_root_writes(facts) or (facts.st_uid == entry.st_uid == 0 and bool(facts.st_mode & stat.S_ISVTX))


def _open_seen(name, flags, fd, shown):
    """Opens what was just looked at; raises UnsafePath if it is something else by now."""
    try:
        return os.open(name, flags, dir_fd=fd)
    except OSError as error:
        raise UnsafePath(f"{shown} was exchanged while it was opened ({error}); run this again") from error


def _open_folder(path, make, private, ancestor):
    """Opens component by component; only an ancestor may be a link, owned by root in a folder that only root writes.

    With `ancestor` the path is only one itself, of what is asked for.
    """
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
                if (ancestor or not asked_for or todo) and trusted and links <= LINKS_AT_MOST:
                    todo = [(part, False) for part in target.split("/") if part not in ("", ".")] + todo
                    if target.startswith("/"):
                        os.close(fd)
                        fd = os.open("/", FOLDER)
                    seen = shown if asked_for else seen
                    continue
                refuse(shown, f"a symbolic link to {target}", "a folder")
            if not stat.S_ISDIR(facts.st_mode):
                refuse(shown, kind(facts), "a folder")
            below = _open_seen(name, FOLDER, fd, shown)
            if private and not only_root_exchanges(os.fstat(fd), os.fstat(below)):
                os.close(below)
                refuse(shown, "where others than root can exchange it", "a folder in one that only root writes")
            os.close(fd)
            fd = below
            seen = shown if asked_for else seen
        if private and not only_root_writes(os.fstat(fd)):
            facts = os.fstat(fd)
            found = f"of user {facts.st_uid} with mode {stat.S_IMODE(facts.st_mode):o}"
            refuse(path, found, "a folder of root's that nobody else may write (mode 755 at most)")
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def folder(path, make=False, private=False, ancestor=False):
    """A descriptor of the folder at a path; FileNotFoundError if it is missing and must not be created.

    With `private`, raises UnsafePath if a user other than root can replace the folder or change its entries.
    """
    fd = _open_folder(path, make, private, ancestor)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def parent(path, make=False):
    """A descriptor of the folder that contains a path, and the last component of the path."""
    with folder(os.path.dirname(os.path.normpath(path)), make, ancestor=True) as fd:
        yield fd, os.path.basename(os.path.normpath(path))


def exists(path):
    """Whether anything has this name, including a dangling link."""
    try:
        with parent(path) as (fd, name):
            return facts_of(name, fd) is not None
    except FileNotFoundError:
        return False


def require_private(path):
    """Ensure that only root can change a path and its content; what is still missing will belong to root."""
    if os.geteuid() != 0:
        return  # An unprivileged run has no rights that a link could misuse.
    todo = os.path.normpath(path)
    while True:
        try:
            with folder(todo, private=True, ancestor=todo != os.path.normpath(path)):
                return
        except FileNotFoundError:
            todo = os.path.dirname(todo)


def is_folder(path):
    """Whether the path is a folder; a link or another kind of file is an error, a missing path is not."""
    try:
        with folder(path):
            return True
    except FileNotFoundError:
        return False


def read_text(path, limit=BYTES_AT_MOST):
    """The content of a regular file; FileNotFoundError if it is missing."""
    with parent(path) as (fd, name):
        return read_text_at(fd, name, path, limit)


def read_text_at(fd, name, path, limit=BYTES_AT_MOST):
    return read_bytes_at(fd, name, path, limit).decode("utf-8", "replace")


def read_bytes_at(fd, name, path, limit, only_name=False):
    """The content of a regular file in an open folder; with `only_name`, the file must have no other hard link."""
    facts = facts_of(name, fd)
    if facts is None:
        raise FileNotFoundError(2, "No such file or directory", path)
    if not stat.S_ISREG(facts.st_mode):
        refuse(path, kind(facts), "a file")
    handle = _open_seen(name, FILE, fd, path)
    with os.fdopen(handle, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            refuse(path, kind(facts), "a file")
        if only_name and facts.st_nlink > 1:
            refuse(path, "a file with a second name (a hard link)", "a file of its own")
        content = stream.read(limit + 1)
    if len(content) > limit:
        refuse(path, f"longer than {limit} bytes", f"a file of at most {limit} bytes")
    return content


def write_text(path, text, uid=0, gid=0, mode=0o644):
    """Write a file atomically, only in a folder that root alone may write."""
    with parent(path) as (fd, name):
        write_text_at(fd, name, path, text, uid, gid, mode)


def write_text_at(fd, name, path, text, uid=0, gid=0, mode=0o644):
    write_bytes_at(fd, name, path, text.encode(), uid, gid, mode)


def write_bytes_at(fd, name, path, content, uid, gid, mode):
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
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
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


def access_lists(handle):
    """The POSIX access lists of an open file or folder, which outlive a change of its owner and mode."""
    try:
        return [name for name in os.listxattr(handle) if name.startswith("system.posix_acl_")]
    except OSError:
        return []  # The file system has none.


def set_attributes(handle, uid, gid, mode):
    """Set owner, group and mode of an open file or folder, without access lists; True if one of them changed."""
    facts = os.fstat(handle)
    lists = access_lists(handle)
    if not lists and not differs(facts, uid, gid, mode):
        return False
    for name in lists:
        os.removexattr(handle, name)
    if (facts.st_uid, facts.st_gid) != (uid, gid):
        # Between the two steps no user has more rights than before or after.
        os.fchmod(handle, stat.S_IMODE(facts.st_mode) & mode)
        os.fchown(handle, uid, gid)
    os.fchmod(handle, mode)
    return True
