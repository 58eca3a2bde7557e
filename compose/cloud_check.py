"""Checks addresses, ids and token of Grafana Cloud before Alloy starts, with the same checks as the playbook."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# ansible/module_utils is mounted beside this file, and Ansible itself is not installed here.
from ansible.module_utils.hypertool.cloud.connection import without
from ansible.module_utils.hypertool.cloud.preflight import complaint, preflight, secrets_of

TOKEN = Path("/run/secrets/grafana_cloud_token")


def given(service: str) -> dict[str, str]:
    """Address and id of a service, from variables such as GRAFANA_CLOUD_METRICS_URL."""
    return {part: os.environ.get(f"GRAFANA_CLOUD_{service.upper()}_{part.upper()}", "") for part in ("url", "user")}


def main() -> int:
    services = {name: given(name) for name in ("metrics", "logs", "otlp")}
    params = {
        **services,
        "token": TOKEN.read_text(encoding="utf-8").rstrip("\n"),
        "ca_file": "",
        "ca_content": "",
        "proxy_url": os.environ.get("GRAFANA_CLOUD_PROXY_URL", ""),
        "timeout": 10.0,
    }
    problems, _ = preflight(params)
    if problems:
        print(complaint([without(problem, secrets_of(params)) for problem in problems]), file=sys.stderr)
        return 1
    print("Grafana Cloud takes metrics, logs and traces with these addresses, ids and this token.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
