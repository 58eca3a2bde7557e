"""Creates the password of Prometheus and Alertmanager once, and the configuration of every service that needs it.

Runs in a container before them: `web_access.py SECRETS PROMETHEUS DATASOURCES SOURCE`, the folders to write and the
folder with the repository's prometheus.yml and data source. Prints nothing secret.
"""

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

# ansible/module_utils is mounted beside this file, and Ansible itself is not installed here.
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.web_access import USER, bcrypt, matches

# The group of the containers that may read the password (compose.yaml).
READERS = 10465
PASSWORD = "/etc/hypertool/secrets/web_password"


def write(path: Path, text: str) -> None:
    """Replace a file with one that only its group may read; on failure the old file stays."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchown(descriptor, -1, READERS)
        os.fchmod(descriptor, 0o640)
    new.replace(path)


def with_password(prometheus: str) -> str:
    """prometheus.yml with the password for scraping itself and for Alertmanager."""
    access = f"basic_auth: {{username: {USER}, password_file: {PASSWORD}}}"
    changes: list[tuple[str, str]] = [
        ("  alertmanagers:\n    - static_configs:", f"  alertmanagers:\n    - {access}\n      static_configs:"),
        *((f"  - job_name: {job}\n", f"  - job_name: {job}\n    {access}\n") for job in ("prometheus", "alertmanager")),
    ]
    for old, new in changes:
        if prometheus.count(old) != 1:
            raise ValueError(f"prometheus.yml has {prometheus.count(old)} times {old!r}, expected once")
        prometheus = prometheus.replace(old, new)
    return prometheus


def with_login(data_source: str) -> str:
    """The only data source, whose keys end the file, with the login for Prometheus."""
    return data_source.rstrip() + (
        f"\n    basicAuth: true\n    basicAuthUser: {USER}\n    secureJsonData:\n"
        f"      basicAuthPassword: $__file{{{PASSWORD}}}\n"
    )


def hashed(known: Path, password: str) -> str:
    """The web configuration with the password's hash; an existing one is kept if its hash is still valid."""
    now = known.read_text(encoding="utf-8") if known.exists() else ""
    found = now.strip().rpartition(" ")[2].strip('"')
    if found and matches(password, found):
        return now
    return f'basic_auth_users:\n  {USER}: "{bcrypt(password)}"\n'


def make(folder: Path, prometheus: Path, data_sources: Path, source: Path) -> None:
    """Write every file."""
    known = folder / "web_password"
    password = known.read_text(encoding="utf-8").strip() if known.exists() else secrets.token_urlsafe(24)
    files: list[tuple[Path, Callable[[], str]]] = [
        (known, lambda: password + "\n"),
        (folder / "web.yml", lambda: hashed(folder / "web.yml", password)),
        (folder / "client.yml", lambda: f"basic_auth: {{username: {USER}, password_file: {PASSWORD}}}\n"),
        (prometheus / "prometheus.yml", lambda: with_password((source / "prometheus.yml").read_text(encoding="utf-8"))),
        (data_sources / "hypertool.yml", lambda: with_login((source / "datasource.yml").read_text(encoding="utf-8"))),
    ]
    for path, text in files:
        write(path, text())
    for directory in (folder, prometheus, data_sources):
        os.chown(directory, -1, READERS)
        directory.chmod(0o750)


def main() -> int:
    try:
        make(*map(Path, sys.argv[1:5]))
    except (HostError, ValueError, OSError) as error:
        print(f"error: the password of Prometheus and Alertmanager could not be set up: {error}", file=sys.stderr)
        return 1
    print("User hypertool; `docker compose exec exporter cat /etc/hypertool/secrets/web_password` shows the password.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
