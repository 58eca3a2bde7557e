"""Writes the password of Grafana's admin, once, to a file that only Grafana reads: the given one, else a random one."""

import os
import secrets
import sys
from pathlib import Path

GRAFANA_USER = 472
SHORTEST = 12


def main() -> int:
    path = Path(sys.argv[1])
    given = os.environ.get("GRAFANA_ADMIN_PASSWORD", "")
    if given and (len(given) < SHORTEST or "\n" in given):
        print(
            f"error: GRAFANA_ADMIN_PASSWORD has {len(given)} characters; expected one line of at least {SHORTEST}. "
            "Leave it unset to have one generated.",
            file=sys.stderr,
        )
        return 1
    if path.exists() and not given:
        return 0
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(given or secrets.token_urlsafe(24))
    os.chown(new, GRAFANA_USER, 0)
    new.replace(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
