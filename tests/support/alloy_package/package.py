"""The package."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

#: The program of the double.
DOUBLE = Path(__file__).with_name("program.py")

UNIT = """\
[Unit]
Description=Vendor-agnostic OpenTelemetry Collector distribution with programmable pipelines
Documentation=https://grafana.com/docs/alloy
Wants=network-online.target
After=network-online.target

[Service]
Restart=always
User=alloy
Environment=HOSTNAME=%H
Environment=ALLOY_DEPLOY_MODE=deb
EnvironmentFile=/etc/default/alloy
WorkingDirectory=/var/lib/alloy
ExecStart=/usr/bin/alloy run $CUSTOM_ARGS --storage.path=/var/lib/alloy/data $CONFIG_FILE
ExecReload=/usr/bin/env kill -HUP $MAINPID
TimeoutStopSec=20s

[Install]
WantedBy=multi-user.target
"""
ENVIRONMENT = """\
CONFIG_FILE="/etc/alloy/config.alloy"
CUSTOM_ARGS=""
RESTART_ON_UPGRADE=true
"""
CONFIGURATION = """\
logging {
	level = "warn"
}
"""
POSTINST = """\
#!/bin/sh
set -e
[ -f /etc/default/alloy ] && . /etc/default/alloy
[ "$1" = configure ] || exit 0
getent group alloy >/dev/null || groupadd -r alloy
getent passwd alloy >/dev/null || useradd -m -r -g alloy -d /var/lib/alloy -s /sbin/nologin -c "alloy user" alloy
for group in adm systemd-journal; do
    if getent group "$group" >/dev/null; then usermod -a -G "$group" alloy; fi
done
for folder in /var/lib/alloy /var/lib/alloy/data; do
    if [ ! -d "$folder" ]; then
        mkdir "$folder"
        chown alloy:alloy "$folder"
        chmod 770 "$folder"
    fi
done
chown root:alloy /etc/alloy
chmod 770 /etc/alloy
if [ -n "$2" ] && [ "$RESTART_ON_UPGRADE" = true ]; then
    systemctl daemon-reload
    systemctl restart alloy
fi
"""
PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ]; then systemctl stop alloy.service >/dev/null 2>&1 || :; fi
"""


def architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()


def build_package(folder: Path, version: str = "1.18.1-1", program: Path = DOUBLE) -> Path:
    """A .deb of that version (release included) in `folder`, around the double or a real program."""
    target = folder / f"alloy-{version}.{architecture()}.deb"
    with tempfile.TemporaryDirectory(dir=folder) as name:
        root = Path(name)
        root.chmod(0o755)
        contents = {
            "etc/alloy/config.alloy": (CONFIGURATION, 0o644),
            "etc/default/alloy": (ENVIRONMENT, 0o644),
            "usr/lib/systemd/system/alloy.service": (UNIT, 0o644),
            "DEBIAN/conffiles": ("/etc/alloy/config.alloy\n/etc/default/alloy\n", 0o644),
            "DEBIAN/postinst": (POSTINST, 0o755),
            "DEBIAN/prerm": (PRERM, 0o755),
            "DEBIAN/control": (_control(version, program), 0o644),
        }
        for path, (text, mode) in contents.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            file.chmod(mode)
        binary = root / "usr/bin/alloy"
        binary.parent.mkdir()
        if program == DOUBLE:
            binary.write_text(program.read_text(encoding="utf-8").replace("@VERSION@", version.rpartition("-")[0]))
        else:
            shutil.copyfile(program, binary)
        binary.chmod(0o755)
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(target)]
        subprocess.run(command, check=True, capture_output=True)
    return target


def _control(version: str, program: Path) -> str:
    kind = "A DOUBLE of Grafana Alloy for tests" if program == DOUBLE else "Grafana Alloy, packaged for a test"
    return (
        f"Package: alloy\nVersion: {version}\nArchitecture: {architecture()}\nMaintainer: tests <tests@localhost>\n"
        f"Section: default\nPriority: optional\nDescription: {kind}\n"
    )
