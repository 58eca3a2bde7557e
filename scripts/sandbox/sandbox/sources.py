"""The package sources of this machine, so that hosts can reach the distribution's packages in the same way."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .progress import say

LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")
TRANSPORT_OPTIONS = (
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::Check-",
    "Acquire::Retries",
    "Acquire::ForceIPv",
)


def lines(release: str) -> list[str]:
    """`deb` lines for a Debian release; empty means the default mirror of the calling tool.

    HYPERTOOL_DEBIAN_MIRROR names a mirror (and HYPERTOOL_DEBIAN_SECURITY_MIRROR one for security updates) if this
    machine's own sources are not Debian's.
    """
    main = os.environ.get("HYPERTOOL_DEBIAN_MIRROR", "")
    security = os.environ.get("HYPERTOOL_DEBIAN_SECURITY_MIRROR", "")
    if not main:
        main, security = _machine_mirrors()
    if not main:
        return []
    suites = [f"deb {main} {release} main", f"deb {main} {release}-updates main"]
    return suites + ([f"deb {security} {release}-security main"] if security else [])


def _machine_mirrors() -> tuple[str, str]:
    if not shutil.which("apt-get"):
        return "", ""
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
    ).stdout
    found: dict[str, str] = {}
    for line in shown.splitlines():
        label, _, address = line.partition("|")
        found.setdefault(label, address.rstrip("/"))
    return found.get("Debian", ""), found.get("Debian-Security", "")


def apt_configuration() -> str:
    """The transport settings of this machine's apt (proxy, certificates, clock checks) as apt.conf text."""
    options: list[str] = []
    if shutil.which("apt-config"):
        shown = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
        options = [line for line in shown.splitlines() if line.startswith(TRANSPORT_OPTIONS) and '""' not in line]
    for scheme in ("http", "https"):
        proxy = os.environ.get(f"{scheme}_proxy") or os.environ.get(f"{scheme.upper()}_PROXY")
        if proxy and not any(line.startswith(f"Acquire::{scheme}::Proxy ") for line in options):
            options.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    for line in options:
        if "Proxy" in line and ("127.0.0.1" in line or "localhost" in line):
            say(f"a proxy on this machine's loopback cannot be reached from a host: {line}")
    return "".join(f"{line}\n" for line in options)


def certificates() -> list[Path]:
    """Certificate authorities that this machine trusts in addition to its distribution's."""
    return sorted(LOCAL_CERTIFICATES.glob("*.crt"))
