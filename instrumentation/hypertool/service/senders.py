"""Who may send alerts to the alert log: told by the user of the client's socket, so that there is no secret to keep."""

from __future__ import annotations

import os
import pwd
from typing import Any

from ..runtime.logs import log
from ..runtime.settings import ALERT_LOG_SENDERS, ALERT_LOG_SENDERS_DEFAULT
from ..runtime.tcp_sockets import user_of
from .owners import namespace_hides_owners

ANYBODY = "*"
#: Refused users that are named in the log; more are refused without a line.
NAMED = 20


class Senders:
    """The users of HYPERTOOL_ALERT_LOG_SENDERS, root and the service's own."""

    def __init__(self) -> None:
        self._names = {name.strip() for name in (ALERT_LOG_SENDERS.read() or ALERT_LOG_SENDERS_DEFAULT).split(",")}
        self._told: set[int | None] = set()

    def refusal(self, client: Any, server: Any) -> str:
        """Empty if the client may send, else why not. `client` and `server` name the connection's two ends."""
        if ANYBODY in self._names:
            return ""
        user = user_of(client, server)
        if user is not None and user in {0, os.geteuid(), *map(_id, self._names)}:
            return ""
        who = "a process whose user is not known" if user is None else f"user {user}"
        text = f"{who} may not send alerts here; list the user in {ALERT_LOG_SENDERS.name}"
        if namespace_hides_owners():
            text += " (this service runs in a user namespace, which hides users from it)"
        if user not in self._told and len(self._told) < NAMED:
            self._told.add(user)
            log.warning("refused an alert: %s (logged once)", text)
        return text


def _id(name: str) -> int | None:
    """The id of a user, which may be made while the service runs; None for nobody's name."""
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None
