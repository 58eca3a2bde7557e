"""Locks a host for this play, or names the play that holds the lock; only the controller knows its own play."""

from __future__ import annotations

import getpass
import os
import platform
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


def process_identity(pid: int) -> str:
    """When a process started, so that another one of the same number is told apart; empty if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended; its parent has not noticed yet.
    return "" if fields[0] == "Z" else fields[19]


def controller() -> str:
    """This machine since its last boot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        boot = ""
    return f"{platform.node()} {boot}".strip()


class ActionModule(ActionBase):  # type: ignore[misc]
    """`play_lock: {state: taken | released}`; fails with the other play's name where one works on the host."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the lock or give it back. Raises AnsibleActionFail where another play has it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={"state": {"choices": ["taken", "released"], "default": "taken"}}
        )
        # Each task runs in a fork of the program.
        pid = os.getppid()
        holder = {"controller": controller(), "pid": pid, "started": process_identity(pid), "user": getpass.getuser()}
        holder["id"] = " ".join(str(value) for value in holder.values())
        arguments = {"holder": holder, "state": given["state"]}
        answer = self._execute_module(module_name="play_lock", module_args=arguments, task_vars=task_vars)
        held = answer.get("held_by")
        if held and held["controller"] == controller() and process_identity(int(held["pid"])) != held["started"]:
            again = {**arguments, "instead_of": held["id"]}
            answer = self._execute_module(module_name="play_lock", module_args=again, task_vars=task_vars)
            held = answer.get("held_by")
        if held:
            raise AnsibleActionFail(
                f"another play works on this host: process {held['pid']} of {held['user']} on "
                f"{held['controller'].split()[0]}, last seen {held['seconds']} s ago. Wait until it has ended, "
                "and run this again; one that was killed elsewhere counts as gone after 15 minutes without a step. "
                "Nothing was changed."
            )
        return {**result, **answer}
