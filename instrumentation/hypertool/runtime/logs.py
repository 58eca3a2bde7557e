"""Logging: one line per change of state, so that a lasting problem is logged once and its end once."""

from __future__ import annotations

import sys
from _thread import allocate_lock

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # logging's own numbers


class Log:
    """The logger `hypertool`; `logging` is imported with the first message, because most processes log nothing.

    While `taken` is a list, warnings and errors are collected there, for a command to print itself.
    """

    def __init__(self) -> None:
        self.taken: list[str] | None = None

    def log(self, level: int, message: str, *args: object, exc_info: BaseException | bool | None = None) -> None:
        """Log `message % args` at one of logging's levels, with the current exception's stack on request.

        The text is redacted, because it may quote the errors of other code. Nothing is logged where an interpreter
        that ends has no imports left.
        """
        try:
            self._log(level, message, args, exc_info)
        except ImportError:
            if sys.meta_path is not None:
                raise

    def _log(self, level: int, message: str, args: tuple[object, ...], exc_info: BaseException | bool | None) -> None:
        from .redaction import LOG_LIMIT, redact

        text = redact(message % args if args else message, LOG_LIMIT)
        if self.taken is not None:
            if level >= WARNING:
                self.taken.append(text)
            return
        import logging

        if exc_info:
            text += "\n" + _stack(exc_info)
        logging.getLogger("hypertool").log(level, "%s", text, stacklevel=4)

    def debug(self, message: str, *args: object) -> None:
        """Log details for debugging."""
        self.log(DEBUG, message, *args)

    def info(self, message: str, *args: object) -> None:
        """Log something worth knowing that needs no action."""
        self.log(INFO, message, *args)

    def warning(self, message: str, *args: object) -> None:
        """Log a problem that limits something."""
        self.log(WARNING, message, *args)

    def error(self, message: str, *args: object, exc_info: BaseException | bool | None = None) -> None:
        """Log something that does not work."""
        self.log(ERROR, message, *args, exc_info=exc_info)


def _stack(exc_info: BaseException | bool) -> str:
    import traceback

    from .redaction import redact_tail

    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    return redact_tail("".join(traceback.format_exception(error))) if error is not None else ""


log = Log()


class StateLog:
    """Logs a state when it changes; thread-safe."""

    def __init__(self, initial: str = "ok") -> None:
        self._state = initial
        self._lock = allocate_lock()

    def change(self, state: str, level: int, message: str) -> bool:
        """Log `message` if `state` is new; returns whether it was."""
        with self._lock:
            if state == self._state:
                return False
            self._state = state
        log.log(level, "%s", message)
        return True


class Once:
    """Logs each message once per process."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, key: str, message: str) -> None:
        """Log a warning the first time that `key` is seen."""
        if key not in self._said:
            self._said.add(key)
            log.warning("%s", message)


once = Once()
