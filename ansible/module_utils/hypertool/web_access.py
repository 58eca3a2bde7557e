# The password of the web services on loopback: its file, its bcrypt hash, and requests that carry it.
from __future__ import annotations

import base64
import ctypes
import pwd
import secrets
import urllib.request
from urllib.parse import urlsplit

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.errors import HostError

USER = "hypertool"
# Their accounts may have been made as a person's, before us.
SERVICES = ("alertmanager", "alloy", "grafana", "hypertool", "prometheus")
PASSWORD_FILE = "/etc/hypertool/secrets/web_password"
# libxcrypt's names on supported systems; Python 3.13 removed the crypt module.
LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# 2**10 rounds, about 50 ms: Prometheus and Alertmanager cache verified passwords.
COST = "10"


def _crypt(password, setting):
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.crypt.restype = ctypes.c_char_p
        library.crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
        hashed = (library.crypt(password.encode(), setting.encode()) or b"").decode()
        if hashed.startswith("$2b$"):
            return hashed
    raise HostError(
        f"this host's C library has no bcrypt (tried {', '.join(LIBRARIES)}); install libxcrypt (Debian: libcrypt1)"
    )


def bcrypt(password):
    # The last of the 22 characters holds only two bits.
    salt = "".join(secrets.choice(ALPHABET) for _ in range(21)) + secrets.choice(".Oeu")
    return _crypt(password, f"$2b${COST}${salt}")


def matches(password, hashed):
    return hashed.startswith("$2b$") and secrets.compare_digest(_crypt(password, hashed), hashed)


def password(path=PASSWORD_FILE):
    """The host's password; empty if there is none yet."""
    try:
        return paths.read_text(path, 1024).strip()
    except FileNotFoundError:
        return ""


def headers(path=PASSWORD_FILE):
    """The headers for a request to Prometheus, Alertmanager or Alloy on this host."""
    known = password(path)
    if not known:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{USER}:{known}".encode()).decode()}


def listener_users(port, tables=None):
    """The uids of the processes that listen on a TCP port of this host."""
    found = set()
    for table in tables or ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                fields = [line.split() for line in lines][1:]
        except OSError:
            continue
        found |= {int(one[7]) for one in fields if one[3] == "0A" and int(one[1].rpartition(":")[2], 16) == port}
    return found


def is_system_user(uid):
    """Whether an account belongs to the system: below the first person's, by systemd (DynamicUser=), or by its name."""
    return uid < 1000 or 61184 <= uid <= 65519 or _name(uid) in SERVICES


def _name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def open_local(url, timeout, path=PASSWORD_FILE, method="GET"):
    """Open a URL of a service on this host. The password is sent to loopback only, never through a proxy.

    Raises PermissionError if a person's process listens there: any user can take a port while its service is down, and
    would be sent the password.
    """
    parts = urlsplit(url)
    carried = headers(path) if parts.hostname in ("127.0.0.1", "localhost", "::1") else {}
    if carried:
        strangers = sorted(uid for uid in listener_users(parts.port or 80) if not is_system_user(uid))
        if strangers:
            raise PermissionError(
                13,
                f"port {parts.port or 80} is held by a process of user {strangers[0]}, expected a service; end it",
            )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(urllib.request.Request(url, headers=carried, method=method), timeout=timeout)
