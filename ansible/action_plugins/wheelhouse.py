"""Builds the archive of wheels for a host, on the controller, by the interpreter that runs Ansible.

An action and no delegated task: a delegated one would run with the interpreter that was named for the managed hosts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PROGRAM = Path(__file__).resolve().parents[1] / "roles" / "hypertool" / "files" / "wheelhouse.py"


class ActionModule(ActionBase):  # type: ignore[misc]
    """`wheelhouse: {source, cache, python, arch}` answers with `archive` and `digest`; the host is not asked."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Build the archive, or find it in the cache. Raises AnsibleActionFail with the program's own words."""
        options = {name: {"type": "str", "required": True} for name in ("source", "cache", "python", "arch")}
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(argument_spec=options)
        command = [sys.executable, str(PROGRAM), *(f"--{name}={value}" for name, value in sorted(given.items()))]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise AnsibleActionFail(done.stderr.strip() or f"{PROGRAM.name} ended with {done.returncode}")
        built = json.loads(done.stdout)
        return {**result, "changed": False, "archive": built["archive"], "digest": built["digest"]}
