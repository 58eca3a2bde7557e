"""Runs a command in the foreground: with our streams and terminal, our signals, and the exit code of a shell."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
NOT_FOUND = 127
NOT_EXECUTABLE = 126
# si_code of a signal from the kernel (Ctrl-C in the terminal): the command, in our process group, gets it as well.
_SI_KERNEL = 0x80


class Ended(NamedTuple):
    """How a command ended: its exit code as a shell gives it, and whether it was interrupted."""

    code: int
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        """Whether the gate passes."""
        return self.code == 0 and not self.interrupted


def hold_signals() -> None:
    """Block the signals that are forwarded, before any thread exists that could receive one.

    `run_command` then receives them all, in order.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})


def run_command(
    program: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    output: int | None = None,
    started: Callable[[int], None] | None = None,
) -> Ended:
    """Run the command in the foreground and forward signals; call `hold_signals` before.

    `program` is the name in front of the message that a command does not exist. The command prints to our streams, or
    into the file with the descriptor `output`. `started` gets its process id.
    """
    try:
        process = _spawn(command, environment, output)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        _say(program, f"{command[0]}: {'command not found' if missing else error.strerror}")
        return Ended(NOT_FOUND if missing else NOT_EXECUTABLE)
    if started is not None:
        started(process)
    interrupted = False
    while True:
        information = signal.sigwaitinfo({*FORWARDED, signal.SIGCHLD})
        if information.si_signo != signal.SIGCHLD:
            interrupted = True
            if information.si_code != _SI_KERNEL:
                os.kill(process, information.si_signo)  # Not reaped yet, so the process id is still the command's.
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return Ended(code if code >= 0 else 128 - code, interrupted or code < 0)


def _spawn(command: Sequence[str], environment: Mapping[str, str], output: int | None) -> int:
    # Python ignores SIGPIPE and SIGXFSZ, and a command would inherit that.
    options: dict[str, Any] = {"setsigmask": (), "setsigdef": (signal.SIGPIPE, signal.SIGXFSZ)}
    if output is not None:
        options["file_actions"] = [(os.POSIX_SPAWN_DUP2, output, stream) for stream in (1, 2)]
    try:
        return os.posix_spawnp(command[0], list(command), dict(environment), **options)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # A script without `#!`: run it as a shell would.
        return os.posix_spawn("/bin/sh", ["sh", *command], dict(environment), **options)


def _say(program: str, text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{program}: {text}", file=sys.stderr)
