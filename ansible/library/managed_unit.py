#!/usr/bin/python
# Keeps a systemd unit enabled, running the files on disk, and ready; on failure it quotes the unit's journal.
from __future__ import annotations

import os
import time
import urllib.error

from ansible.module_utils.hypertool import web_access
from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.host import journal_tail, unit_properties, wait_for_unit
from ansible.module_utils.hypertool.unit_start import changed_since_start, note_start

DOCUMENTATION = r"""
module: managed_unit
short_description: Enable, (re)start and wait for a systemd unit
description:
  - Restarts a unit only when one of O(files) is newer than its start, so that an interrupted run is finished by the
    next one, whatever was reported as changed then.
  - Waits until the unit is ready. Whether it stays so is what M(stack_health) watches, for all units at once.
  - One that is to be stopped has no process and is not listed as failed afterwards, also where its own stop gave up or
    another program's had.
options:
  name:
    description: The unit.
    type: str
    required: true
  state:
    description:
      - C(started) enables it too; C(stopped) only stops it, C(disabled) also keeps it from starting at boot. The last
        two do nothing for one that is not installed and left nothing running.
    choices: [started, stopped, disabled]
    default: started
    type: str
  files:
    description: Files and links whose change needs a restart (unit files, drop-ins, binaries).
    type: list
    elements: path
    default: []
  drop_in:
    description: File name of our drop-in. With it, a unit that is to be stopped and has no such drop-in is left alone.
    type: str
  ready_url:
    description: Answers 200 when the unit is ready. Asked with the host's web password, where there is one.
    type: str
  timeout:
    description: Seconds to become ready; or, for processes that outlive a stop, to end before they are killed.
    type: int
    default: 60
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Run Prometheus
  managed_unit:
    name: prometheus.service
    files: [/etc/systemd/system/prometheus.service.d/10-hypertool.conf]
    ready_url: http://127.0.0.1:9090/-/ready
"""

RETURN = r"""
actions:
  description:
    - What was (in check mode - would be) done, out of daemon-reload, enable, start, restart, stop, kill (the processes
      that a unit that does not run any more left behind), reset-failed, disable.
  returned: always
  type: list
"""

PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "TasksCurrent")
# Seconds for the kernel to end processes after SIGKILL; one that waits for a dead disk takes longer.
KILLED_WITHIN = 10


def complaint_of(url):
    """What is wrong with the response of the readiness URL; empty for status 200 or without a URL."""
    if not url:
        return ""
    try:
        with web_access.open_local(url, timeout=2) as response:
            return "" if response.status == 200 else f"{url} answers {response.status}"
    except urllib.error.HTTPError as error:
        return f"{url} answers {error.code}"
    except OSError as error:
        return f"{url}: {error}"


def has_processes(state):
    return state.get("TasksCurrent", "") not in ("", "0", "[not set]")


def plan_to_stop(state, disable):
    actions = ["daemon-reload"] if state.get("NeedDaemonReload") == "yes" else []
    # Checks the running state, not the unit file: an interrupted uninstallation may have removed the file.
    if state.get("ActiveState") not in ("inactive", "failed"):
        actions.append("stop")
    elif has_processes(state):
        actions.append("kill")
    elif state.get("ActiveState") == "failed":
        actions.append("reset-failed")
    if disable and state.get("UnitFileState") == "enabled":
        actions.append("disable")
    return actions


def plan(module, state):
    actions = []
    if state.get("NeedDaemonReload") == "yes" or state.get("LoadState") != "loaded":
        actions.append("daemon-reload")
    if state.get("UnitFileState") != "enabled":
        actions.append("enable")
    if state.get("ActiveState") != "active":
        actions.append("start")
    elif changed_since_start(module, module.params["name"], module.params["files"]):
        actions.append("restart")
    return actions


def wait_for_the_end(module, name, timeout):
    """Whether all processes of the unit ended within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while has_processes(unit_properties(module, name, "TasksCurrent")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def end_the_rest(module, name, timeout):
    """Wait for processes that outlive their stopped unit, then kill them: some Debian units set SendSIGKILL=no."""
    if wait_for_the_end(module, name, timeout):
        return
    module.run_command(["systemctl", "kill", "--signal=SIGKILL", name])
    if not wait_for_the_end(module, name, KILLED_WITHIN):
        module.fail_json(
            msg=(
                f"Processes of {name} are still there {KILLED_WITHIN} s after SIGKILL; expected none. "
                f"`systemctl status {name}` lists them; once they are gone, run this again.\n"
                f"Its last lines:\n{journal_tail(module, name)}"
            )
        )


def main():
    module = settled_module(
        {
            "name": {"type": "str", "required": True},
            "state": {"choices": ["started", "stopped", "disabled"], "default": "started"},
            "files": {"type": "list", "elements": "path", "default": []},
            "drop_in": {"type": "str"},
            "ready_url": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        }
    )
    name = module.params["name"]
    state, stopping = unit_properties(module, name, *PROPERTIES), module.params["state"] != "started"
    drop_in = module.params["drop_in"]
    if stopping and drop_in and not os.path.lexists(f"/etc/systemd/system/{name}.d/{drop_in}"):
        module.exit_json(changed=False, actions=[])
    actions = plan_to_stop(state, module.params["state"] == "disabled") if stopping else plan(module, state)
    result = {"changed": bool(actions), "actions": actions}
    if module.check_mode:
        module.exit_json(**result)
    for action in actions:
        if action in ("start", "restart"):
            module.run_command(["systemctl", "reset-failed", name])
        rc, out, err = module.run_command(["systemctl", action] + ([name] if action != "daemon-reload" else []))
        # The processes to kill, and with them the unit, may have ended meanwhile; `end_the_rest` checks what is left.
        if rc != 0 and action != "kill":
            module.fail_json(
                msg=(
                    f"systemctl {action} {name} failed: {(out + err).strip()}\n"
                    f"Its last lines:\n{journal_tail(module, name)}"
                )
            )
        if action in ("stop", "kill"):
            end_the_rest(module, name, module.params["timeout"])
            # A killed unit (it took too long to send its queue) would stay listed as failed.
            module.run_command(["systemctl", "reset-failed", name])
    if not stopping:
        trouble = wait_for_unit(
            module, name, lambda: complaint_of(module.params["ready_url"]), module.params["timeout"]
        )
        if trouble:
            module.fail_json(msg=f"{name} is not ready: {trouble}.\nIts last lines:\n{journal_tail(module, name)}")
        note_start(module, name, module.params["files"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
