#!/usr/bin/env python3
"""Creates the secrets of the profile `langfuse` once: `python3 langfuse_secrets.py [secrets/langfuse]`.

Each service gets a file with exactly the secrets it needs. Prints where the files are, never a secret.
"""

import os
import secrets
import sys
import uuid
from pathlib import Path

_SHARED = (
    "DATABASE_URL",
    "CLICKHOUSE_PASSWORD",
    "LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY",
    "LANGFUSE_S3_MEDIA_UPLOAD_SECRET_ACCESS_KEY",
    "REDIS_AUTH",
    "SALT",
    "ENCRYPTION_KEY",
)
_INIT = tuple(
    f"LANGFUSE_INIT_{name}"
    for name in (
        "ORG_ID",
        "ORG_NAME",
        "PROJECT_ID",
        "PROJECT_NAME",
        "PROJECT_PUBLIC_KEY",
        "PROJECT_SECRET_KEY",
        "USER_EMAIL",
        "USER_NAME",
        "USER_PASSWORD",
    )
)
# Service -> the variables in its file; `agents` is for programs that send to this Langfuse.
PARTS = {
    "web": (*_SHARED, "NEXTAUTH_SECRET", *_INIT),
    "worker": _SHARED,
    "clickhouse": ("CLICKHOUSE_PASSWORD",),
    "minio": ("MINIO_ROOT_PASSWORD",),
    "redis": ("REDIS_AUTH",),
    "postgres": ("POSTGRES_PASSWORD",),
    "agents": ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"),
}


def new_values() -> dict[str, str]:
    """Every secret, by the variable name that Langfuse and its databases read."""
    postgres, clickhouse, minio = (secrets.token_hex(24) for _ in range(3))
    return {
        "POSTGRES_PASSWORD": postgres,
        "DATABASE_URL": f"postgresql://postgres:{postgres}@langfuse-postgres:5432/postgres",
        "CLICKHOUSE_PASSWORD": clickhouse,
        "MINIO_ROOT_PASSWORD": minio,
        "LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY": minio,
        "LANGFUSE_S3_MEDIA_UPLOAD_SECRET_ACCESS_KEY": minio,
        "REDIS_AUTH": secrets.token_hex(24),
        "SALT": secrets.token_hex(24),
        "ENCRYPTION_KEY": secrets.token_hex(32),
        "NEXTAUTH_SECRET": secrets.token_hex(32),
        "LANGFUSE_INIT_ORG_ID": "hypertool",
        "LANGFUSE_INIT_ORG_NAME": "Hypertool",
        "LANGFUSE_INIT_PROJECT_ID": "hypertool",
        "LANGFUSE_INIT_PROJECT_NAME": "Hypertool",
        "LANGFUSE_INIT_PROJECT_PUBLIC_KEY": f"pk-lf-{uuid.uuid4()}",
        "LANGFUSE_INIT_PROJECT_SECRET_KEY": f"sk-lf-{uuid.uuid4()}",
        "LANGFUSE_INIT_USER_EMAIL": "admin@localhost.local",
        "LANGFUSE_INIT_USER_NAME": "admin",
        "LANGFUSE_INIT_USER_PASSWORD": secrets.token_urlsafe(18),
    }


def values_of(folder: Path) -> dict[str, str]:
    """The secrets to write: those in the file of earlier versions (a Langfuse may run with them), or new ones."""
    earlier = folder.with_name(folder.name + ".env")
    values = new_values()
    if earlier.is_file():
        pairs = (line.split("=", 1) for line in earlier.read_text(encoding="utf-8").splitlines() if "=" in line)
        values.update((name, value) for name, value in pairs)
        print(f"Taking over the secrets in {earlier}; delete that file once Langfuse runs with the new ones.")
    values["LANGFUSE_BASE_URL"] = "http://localhost:3001"
    values["LANGFUSE_PUBLIC_KEY"] = values["LANGFUSE_INIT_PROJECT_PUBLIC_KEY"]
    values["LANGFUSE_SECRET_KEY"] = values["LANGFUSE_INIT_PROJECT_SECRET_KEY"]
    return values


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("secrets") / "langfuse")
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    if folder.exists():
        print(
            f"error: {folder} exists, and a running Langfuse needs it. To start afresh, remove it and the volumes "
            "(docker compose --profile langfuse down --volumes).",
            file=sys.stderr,
        )
        return 1
    values = values_of(folder)
    # All or nothing: an interrupted run can be repeated.
    new = folder.with_name(f".{folder.name}.{os.getpid()}")
    new.mkdir(mode=0o700)
    for part, names in PARTS.items():
        descriptor = os.open(new / f"{part}.env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{name}={values[name]}\n" for name in names)
    new.rename(folder)
    print(
        f"The secrets are in {folder}, a file for each part. Agents: the variables in {folder / 'agents.env'}.\n"
        "The web page is http://localhost:3001; log in with LANGFUSE_INIT_USER_EMAIL and "
        f"LANGFUSE_INIT_USER_PASSWORD in {folder / 'web.env'}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
