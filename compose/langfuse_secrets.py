#!/usr/bin/env python3
"""Make the secrets of the profile `langfuse`, once: `python3 langfuse_secrets.py [secrets/langfuse.env]`.

Prints where they are, and the two keys that agents need, never the passwords.
"""

import os
import secrets
import sys
import uuid
from pathlib import Path


def lines() -> dict[str, str]:
    """Every secret under the names that the parts read it by."""
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


def main() -> int:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("secrets") / "langfuse.env")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(
            f"error: {path} is there already, and a running Langfuse needs it. Remove it (and the volumes: "
            "docker compose --profile langfuse down --volumes) to start afresh.",
            file=sys.stderr,
        )
        return 1
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in lines().items())
    print(
        f"The secrets are in {path}. For agents (LANGFUSE_INIT_PROJECT_PUBLIC_KEY and ..._SECRET_KEY in it):\n"
        "  LANGFUSE_BASE_URL=http://localhost:3001 LANGFUSE_PUBLIC_KEY=... LANGFUSE_SECRET_KEY=...\n"
        "Its page is http://localhost:3001; LANGFUSE_INIT_USER_EMAIL and ..._PASSWORD in it log in there."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
