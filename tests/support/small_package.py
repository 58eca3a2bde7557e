"""A small Debian package from a few files, for tests that need one that no repository has."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path


def small_package(folder: Path, name: str, version: str, files: Mapping[str, str], postinst: str = "") -> Path:
    """Build `name` at `version` (release included) in `folder`; files below usr/bin become executable."""
    target = folder / f"{name}_{version}_all.deb"
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: tests <tests@localhost>\n"
        f"Description: {name}, a double for tests\n"
    )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root = Path(scratch)
        root.chmod(0o755)
        everything = {**files, "DEBIAN/control": control, **({"DEBIAN/postinst": postinst} if postinst else {})}
        for path, text in everything.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            file.chmod(0o755 if path.startswith("usr/bin/") or path == "DEBIAN/postinst" else 0o644)
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(target)]
        subprocess.run(command, check=True, capture_output=True)
    return target


GRAFANA_PROGRAM = """\
#!/usr/bin/python3
import http.server

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"database": "ok"}')

http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Health).serve_forever()
"""
GRAFANA_UNIT = """\
[Unit]
Description=A double of Grafana
[Service]
User=grafana
ExecStart=/usr/bin/grafana-double
[Install]
WantedBy=multi-user.target
"""
GRAFANA_POSTINST = """\
#!/bin/sh
set -e
getent passwd grafana >/dev/null || useradd --system --user-group --no-create-home grafana
"""


def grafana_double(folder: Path, version: str = "12.3.0") -> Path:
    """A package called grafana whose service answers its health check, and nothing else."""
    files = {
        "usr/bin/grafana-double": GRAFANA_PROGRAM,
        "usr/lib/systemd/system/grafana-server.service": GRAFANA_UNIT,
        "usr/share/grafana/README": "a double\n",
    }
    return small_package(folder, "grafana", version, files, GRAFANA_POSTINST)
