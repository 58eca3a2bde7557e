"""The command line: `hypertool` and `tta-persona`. Imports only what a command needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """`hypertool ...`; returns the exit code (0 done, 1 failed, 2 wrong use)."""
    if argv is None and sys.argv[1:2] == ["hook"] and not {"-h", "--help"} & set(sys.argv[2:3]):
        from ..agents.hooks.hook import run_alone

        run_alone(sys.argv[2:])
    return _run("hypertool", argv)


def main_persona(argv: Sequence[str] | None = None) -> int:
    """`tta-persona ...`: the persona commands only."""
    return _run("tta-persona", argv)


def _run(program: str, argv: Sequence[str] | None) -> int:
    from ..errors import HypertoolError
    from .output import UsageProblem, complain

    _fill_closed_streams()
    try:
        try:
            from .parser import dispatch

            code = dispatch(program, list(sys.argv[1:] if argv is None else argv))
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except UsageProblem as error:
            complain(program, str(error))
            return 2
        except HypertoolError as error:
            complain(program, str(error))
            return 1
    except BrokenPipeError:
        # The reader is gone (`| head`): exit like a shell tool, without Python's message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # A defect of ours: print one line and how to report it, no traceback.
        from ..runtime.settings import DEBUG

        if DEBUG.on():
            raise
        complain(
            program,
            f"internal error: {type(error).__name__}: {error}; run it again with HYPERTOOL_DEBUG=1 "
            "for the traceback, and report it",
        )
        return 1


def _fill_closed_streams() -> None:
    """Open closed standard streams (`2>&-`): the next opened file would get their number and our messages."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
