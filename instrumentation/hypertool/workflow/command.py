"""A command in the foreground: our streams and terminal, the signals that we get, and the exit code of a shell."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
NOT_FOUND = 127
NOT_EXECUTABLE = 126
# si_code of a signal that the kernel made (the terminal's Ctrl-C): the command, in our process group, has it as well.
_SI_KERNEL = 0x80


class Ended(NamedTuple):
    """How a command ended: its exit code as a shell gives it, and whether somebody interrupted it."""

    code: int
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        """Whether that is a passed gate."""
        return self.code == 0 and not self.interrupted


def hold_signals() -> None:
    """Block the signals that are passed on, before there is any thread that could take one: they all come to
    `run_command`, in order.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})


def run_command(
    program: str, command: Sequence[str], environment: Mapping[str, str], output: int | None = None
) -> Ended:
    """Run it in the foreground and pass signals on; `hold_signals` must have been called.

    `program` is who says that a command does not exist. What the command prints goes to our own streams, or into the
    file with the descriptor `output`.
    """
    try:
        process = _spawn(command, environment, output)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        _say(program, f"{command[0]}: {'command not found' if missing else error.strerror}")
        return Ended(NOT_FOUND if missing else NOT_EXECUTABLE)
    interrupted = False
    while True:
        information = signal.sigwaitinfo({*FORWARDED, signal.SIGCHLD})
        if information.si_signo != signal.SIGCHLD:
            interrupted = True
            if information.si_code != _SI_KERNEL:
                os.kill(process, information.si_signo)  # not reaped yet, so the id is still the command's
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return Ended(code if code >= 0 else 128 - code, interrupted or code < 0)


def _spawn(command: Sequence[str], environment: Mapping[str, str], output: int | None) -> int:
    # SIGPIPE and SIGXFSZ: Python ignores them, and what is ignored stays so in the command.
    options: dict[str, Any] = {"setsigmask": (), "setsigdef": (signal.SIGPIPE, signal.SIGXFSZ)}
    if output is not None:
        options["file_actions"] = [(os.POSIX_SPAWN_DUP2, output, stream) for stream in (1, 2)]
    try:
        return os.posix_spawnp(command[0], list(command), dict(environment), **options)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # A script without `#!`: a shell would run it itself.
        return os.posix_spawn("/bin/sh", ["sh", *command], dict(environment), **options)


def _say(program: str, text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{program}: {text}", file=sys.stderr)
