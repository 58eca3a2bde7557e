"""Whether a service of this host listens on a port, and not a person who took the port while the service was down."""

from __future__ import annotations

import os

#: Names and addresses of this host; a password of the host is sent to no other address.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: Accounts of people start at 1000. systemd makes users for services (DynamicUser=) between these two.
_FIRST_PERSON, _FIRST_DYNAMIC, _LAST_DYNAMIC = 1000, 61184, 65519
#: Their accounts may have been made as a person's, before us.
_SERVICES = ("alertmanager", "alloy", "grafana", "hypertool", "prometheus")
#: The user of Prometheus in its container image.
_NOBODY = 65534


def stranger(host: str, port: int) -> int | None:
    """The user id of another person whose process listens on that port of loopback; None if there is none."""
    from .tcp_sockets import listening_users

    addresses = ("127.0.0.1", "::1") if host == "localhost" else (host,)
    users = {user for address in addresses for user in listening_users(address, port)}
    return next((user for user in sorted(users) if not _is_service(user) and user != os.geteuid()), None)


def _is_service(user: int) -> bool:
    if user < _FIRST_PERSON or _FIRST_DYNAMIC <= user <= _LAST_DYNAMIC or user == _NOBODY:
        return True
    import pwd

    try:
        return pwd.getpwuid(user).pw_name in _SERVICES
    except KeyError:
        return False
