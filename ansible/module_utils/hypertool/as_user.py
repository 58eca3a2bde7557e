# Runs our command line as a user of the host, in that user's home, and reads what it answers without trusting it.
from __future__ import annotations

import json
import os
import pwd
import selectors
import signal
import subprocess
import time

from ansible.module_utils.hypertool.errors import HostError

SECONDS = 60
# What a user's process prints is that user's: no more is kept, and no control character is shown.
CHARACTERS = 1024 * 1024


def environment(user):
    """What a login gives, and nothing of root's own environment."""
    return {
        "HOME": user.pw_dir,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": user.pw_shell,
        "PATH": f"{user.pw_dir}/.local/bin:/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
    }


def answer(name, argv):
    """The JSON document that a program prints as this user. Raises HostError."""
    user = pwd.getpwnam(name)
    process = subprocess.Popen(
        argv,
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=os.getgrouplist(name, user.pw_gid),
        umask=0o022,
        cwd="/",
        env=environment(user),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Without root's terminal, into which it could type.
        start_new_session=True,
    )
    out, err = outputs(process, " ".join(argv))
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise HostError(f"`{' '.join(argv)}` ended with {process.returncode} and no answer: {printable(err)}")
    return document


def outputs(process, command):
    """The beginnings of what a process writes, when it has ended. Raises HostError for one that does not end."""
    deadline = time.monotonic() + SECONDS
    written = {process.stdout: bytearray(), process.stderr: bytearray()}
    with process, selectors.DefaultSelector() as waiting:
        for stream in written:
            waiting.register(stream, selectors.EVENT_READ)
        try:
            while waiting.get_map():
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(command, SECONDS)
                for key, _ in waiting.select(1):
                    data = os.read(key.fd, 65536)
                    if not data:
                        waiting.unregister(key.fileobj)
                    written[key.fileobj] += data[: CHARACTERS - len(written[key.fileobj])]
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise HostError(f"`{command}` did not end within {SECONDS} s; see whether the home answers") from None
    return bytes(written[process.stdout]), bytes(written[process.stderr])


def printable(raw):
    """The last 300 characters of a text from a user, on one line."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    return "".join(one if one.isprintable() else " " for one in text[-300:]).strip()
