#!/usr/bin/python
# Makes a systemd unit enabled, running what is on disk, and ready; says what its journal says if not.
from __future__ import annotations

import time
import urllib.error
import urllib.request

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.hypertool_host import changed_since_start, journal_tail, unit_properties, wait_for_unit

DOCUMENTATION = r"""
module: managed_unit
short_description: Enable, (re)start and wait for a systemd unit
description:
  - Restarts a unit only when one of O(files) is newer than its start, so that an interrupted run is finished by the
    next one, whatever was reported as changed then.
  - Waits until the unit is ready. Whether it stays so is what M(stack_health) watches, for all units at once.
options:
  name:
    description: The unit.
    type: str
    required: true
  state:
    description:
      - C(started) enables it too; C(stopped) only stops it, C(disabled) also keeps it from starting at boot. The last
        two do nothing for one that is not installed.
    choices: [started, stopped, disabled]
    default: started
    type: str
  files:
    description: Files and links whose change needs a restart (unit files, drop-ins, binaries).
    type: list
    elements: path
    default: []
  ready_url:
    description: Answers 200 when the unit is ready.
    type: str
  timeout:
    description: Seconds to become ready.
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
  description: What was (in check mode - would be) done, out of daemon-reload, enable, start, restart, stop, disable.
  returned: always
  type: list
"""

PROPERTIES = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NeedDaemonReload", "NRestarts")


def complaint_of(url):
    """What is wrong with the answer of an address; empty when it is 200, or when there is none to ask."""
    if not url:
        return ""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return "" if response.status == 200 else f"{url} answers {response.status}"
    except urllib.error.HTTPError as error:
        return f"{url} answers {error.code}"
    except OSError as error:
        return f"{url}: {error}"


def plan_to_stop(state, disable):
    actions = ["daemon-reload"] if state.get("NeedDaemonReload") == "yes" else []
    if state.get("LoadState") == "loaded" and state.get("ActiveState") not in ("inactive", "failed"):
        actions.append("stop")
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


def end_the_rest(module, name, timeout):
    """Wait for processes that outlive their stopped unit, then kill them: some units of Debian say SendSIGKILL=no."""
    deadline = time.monotonic() + timeout
    while unit_properties(module, name, "TasksCurrent").get("TasksCurrent", "") not in ("", "0", "[not set]"):
        if time.monotonic() > deadline:
            module.run_command(["systemctl", "kill", "--signal=SIGKILL", name])
            return
        time.sleep(0.5)


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"choices": ["started", "stopped", "disabled"], "default": "started"},
            "files": {"type": "list", "elements": "path", "default": []},
            "ready_url": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    state, stopping = unit_properties(module, name, *PROPERTIES), module.params["state"] != "started"
    actions = plan_to_stop(state, module.params["state"] == "disabled") if stopping else plan(module, state)
    result = {"changed": bool(actions), "actions": actions}
    if module.check_mode:
        module.exit_json(**result)
    commands = {
        "daemon-reload": ["systemctl", "daemon-reload"],
        "enable": ["systemctl", "enable", name],
        "start": ["systemctl", "start", name],
        "restart": ["systemctl", "restart", name],
        "stop": ["systemctl", "stop", name],
        "disable": ["systemctl", "disable", name],
    }
    for action in actions:
        if action in ("start", "restart"):
            module.run_command(["systemctl", "reset-failed", name])
        rc, out, err = module.run_command(commands[action])
        if rc != 0:
            module.fail_json(
                msg=(
                    f"systemctl {action} {name} failed: {(out + err).strip()}\n"
                    f"Its last lines:\n{journal_tail(module, name)}"
                )
            )
    trouble = None
    if stopping:
        if "stop" in actions:
            end_the_rest(module, name, module.params["timeout"])
        # One that had to be killed (what it still wanted to send took too long) would stay listed as failed for ever.
        module.run_command(["systemctl", "reset-failed", name])
    else:
        trouble = wait_for_unit(
            module, name, lambda: complaint_of(module.params["ready_url"]), module.params["timeout"]
        )
    if trouble:
        module.fail_json(msg=f"{name} is not ready: {trouble}.\nIts last lines:\n{journal_tail(module, name)}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
