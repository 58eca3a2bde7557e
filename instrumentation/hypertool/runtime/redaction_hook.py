"""The application's own redaction, after the built-in patterns: `hypertool.set_redaction`."""

from __future__ import annotations

import threading

from .logs import once
from .redaction import Hook, install_hook

FAILED = "[redaction failed]"


class _Thread(threading.local):
    """Whether this thread is inside the hook, or logs its failure: neither may call the hook again."""

    inside = False


_thread = _Thread()


def set_redaction(hook: Hook | None) -> None:
    """Let `hook` see every text after the built-in patterns; its result replaces the text. None removes the hook.

    The hook gets at most a few times the size limit of the value. It runs in the thread of the traced call, or in the
    sink's thread for names, so it should be quick. Where it raises, or returns no string, the value is replaced by
    "[redaction failed]", which is logged once. It is set by a function and not by the environment: a variable that
    names code would run it in every process.

    Raises TypeError for anything but a function or None.
    """
    if hook is None:
        install_hook(None)
        return
    if not callable(hook):
        raise TypeError(f"a redaction hook is a function of one string, not {type(hook).__name__} ({hook!r:.60})")
    own = hook
    install_hook(lambda text: text if _thread.inside else _through(own, text))


def _through(hook: Hook, text: str) -> str:
    _thread.inside = True
    try:
        result = hook(text)
        if isinstance(result, str):
            return result
        problem = f"it returned {type(result).__name__}, expected str"
    except Exception as error:  # The message may contain what the hook should have hidden.
        problem = f"it raised {type(error).__name__}"
    finally:
        _thread.inside = False
    _log(problem)
    return FAILED


def _log(problem: str) -> None:
    _thread.inside = True
    try:
        once.warn(
            "redaction-hook",
            f"the redaction hook fails ({problem}); such values are replaced by {FAILED!r} (logged once)",
        )
    finally:
        _thread.inside = False
