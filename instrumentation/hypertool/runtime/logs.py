"""One log line per change of state: what is down is said once, and once more when it is back."""

from __future__ import annotations

import threading

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # logging's own numbers


class Log:
    """The logger `hypertool`, loaded when something is said: most processes say nothing, and a prompt waits for them.

    While `taken` is a list, warnings and errors go there instead: a command says them in its own words.
    """

    def __init__(self) -> None:
        self.taken: list[str] | None = None

    def log(self, level: int, message: str, *args: object, exc_info: BaseException | bool | None = None) -> None:
        """Log `message % args` at one of logging's levels, with the stack of the exception in hand where asked for.

        Nothing of it is a credential or an e-mail address: what others raise ends up in our lines.
        """
        from .redaction import LOG_LIMIT, redact

        text = redact(message % args if args else message, LOG_LIMIT)
        if self.taken is not None:
            if level >= WARNING:
                self.taken.append(text)
            return
        import logging

        if exc_info:
            text += "\n" + _stack(exc_info)
        logging.getLogger("hypertool").log(level, "%s", text, stacklevel=3)

    def debug(self, message: str, *args: object) -> None:
        """For whoever looks for a defect."""
        self.log(DEBUG, message, *args)

    def info(self, message: str, *args: object) -> None:
        """Worth knowing, nothing to do."""
        self.log(INFO, message, *args)

    def warning(self, message: str, *args: object) -> None:
        """Something is less than it should be."""
        self.log(WARNING, message, *args)

    def error(self, message: str, *args: object, exc_info: BaseException | bool | None = None) -> None:
        """Something does not work."""
        self.log(ERROR, message, *args, exc_info=exc_info)


def _stack(exc_info: BaseException | bool) -> str:
    import sys
    import traceback

    from .redaction import redact_tail

    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    return redact_tail("".join(traceback.format_exception(error))) if error is not None else ""


log = Log()


class StateLog:
    """Says a state when it differs from the one said before; safe from any thread."""

    def __init__(self, initial: str = "ok") -> None:
        self._state = initial
        self._lock = threading.Lock()

    def change(self, state: str, level: int, message: str) -> bool:
        """Log `message` if `state` is new; returns whether it was."""
        with self._lock:
            if state == self._state:
                return False
            self._state = state
        log.log(level, "%s", message)
        return True


class Once:
    """Says each thing once in the life of the process."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, key: str, message: str) -> None:
        """Log a warning the first time that `key` is seen."""
        if key not in self._said:
            self._said.add(key)
            log.warning("%s", message)


once = Once()
