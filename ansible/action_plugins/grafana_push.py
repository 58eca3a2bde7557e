"""Puts dashboards and rules into Grafana from the controller, with the package of this checkout.

An action and no delegated task: a delegated one would run with the interpreter that was named for the managed hosts.
The tokens reach the program by its environment; they are in no argument and in no result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PROGRAM = "import sys; from hypertool.cli import main; sys.exit(main())"
OPTIONS = ("rules", "ruler_url", "ruler_user", "data_source", "folder", "namespace", "runbook_url", "ca_file")
SWITCHES = ("prune", "force")
LEFT_ALONE, DIFFERENT = 5, 6


class ActionModule(ActionBase):  # type: ignore[misc]
    """`grafana_push: {source, url, token, ...}`, with the options of `hypertool grafana push`; no host is asked."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Push; in check mode, and with `compare`, only compare. Raises AnsibleActionFail with the reason."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={
                "compare": {"type": "bool", "default": False},
                **{name: {"type": "str", "required": True} for name in ("source", "url")},
                "token": {"type": "str", "required": True, "no_log": True},
                "ruler_token": {"type": "str", "default": "", "no_log": True},
                "prove": {"type": "int", "default": 0},
                **{name: {"type": "str", "default": ""} for name in OPTIONS},
                **{name: {"type": "bool", "default": False} for name in SWITCHES},
            }
        )
        check = self._task.check_mode or given["compare"]
        done = subprocess.run(
            _command(given, check),
            env=_environment(given),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode not in (0, LEFT_ALONE, DIFFERENT):
            written = _report(done.stdout).get("written") or []
            listed = f"; written before that: {', '.join(map(_text, written))}" if written else ""
            reason = done.stderr.strip() or f"hypertool grafana ended with {done.returncode}"
            raise AnsibleActionFail(reason.removeprefix("hypertool grafana: ") + listed)
        report = _report(done.stdout)
        changed = bool(report["changed"]) and not given["compare"]
        return {**result, "changed": changed, **{name: report[name] for name in ("written", "kept", "proven")}}


def _command(given: dict[str, Any], check: bool) -> list[str]:
    values = {name: given[name] for name in OPTIONS if given[name]}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    switches = [f"--{name}" for name in SWITCHES if given[name]]
    proof = [f"--prove={given['prove']}"] if given["prove"] and not check else []
    command = [sys.executable, "-c", PROGRAM, "grafana", "diff" if check else "push"]
    return [*command, f"--url={given['url']}", "--json", *options, *switches, *proof]


def _environment(given: dict[str, Any]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GRAFANA_", "HYPERTOOL_"))}
    tokens = {"GRAFANA_TOKEN": given["token"], "GRAFANA_RULER_TOKEN": given["ruler_token"]}
    return {**own, **tokens, "PYTHONPATH": os.path.join(given["source"], "instrumentation")}


def _report(printed: str) -> dict[str, Any]:
    try:
        found = json.loads(printed)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(step: dict[str, Any]) -> str:
    return f"{step['kind']} {step['name']}"
