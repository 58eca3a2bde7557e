#!/usr/bin/python
# Proves that the installation on a host works: units run steadily, and every Prometheus target is up.
from __future__ import annotations

import json
import time
import urllib.error

from ansible.module_utils.hypertool import web_access
from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.host import journal_tail, unit_properties

DOCUMENTATION = r"""
module: stack_health
short_description: Prove that the installed units are steady and their targets up
description:
  - Looks at those of O(units) that are installed. When one of them started lately, it watches the restart counters
    for O(steady) seconds, because a unit can be active while it restarts again and again. Meanwhile it waits until
    Prometheus, where it is one of them, reports every target of theirs as up.
options:
  units:
    description: Prometheus job by unit name; an empty job for a unit that is not scraped.
    type: dict
    required: true
  prometheus:
    description: Address of the Prometheus that scrapes them.
    type: str
    default: http://127.0.0.1:9090
  prometheus_unit:
    description: Its unit.
    type: str
    default: prometheus.service
  steady:
    description: Seconds for which no unit may restart by itself.
    type: float
    default: 6
  timeout:
    description: Seconds for all targets to come up. C(0) skips the wait.
    type: int
    default: 60
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Prove it
  stack_health:
    units:
      prometheus.service: prometheus
      hypertool-exporter.service: hypertool
"""

RETURN = r"""
units:
  description: The installed units that were looked at.
  returned: always
  type: list
targets:
  description: The jobs whose targets are up.
  returned: always
  type: list
"""

LATELY_SECONDS = 60


def look(module, unit):
    return unit_properties(
        module, unit, "LoadState", "ActiveState", "SubState", "NRestarts", "ActiveEnterTimestampMonotonic"
    )


def young(state):
    return time.monotonic() - int(state.get("ActiveEnterTimestampMonotonic") or 0) / 1e6 < LATELY_SECONDS


def get(url):
    with web_access.open_local(url, timeout=5) as response:
        return json.load(response)["data"]


def targets(address):
    """The state of each job according to Prometheus: `up` or the reason. A string with the error if Prometheus does not
    answer.

    Jobs that a collector scrapes on its behalf have no target there, but a series `up`.
    """
    found = {}
    try:
        active = get(f"{address}/api/v1/targets?state=active")["activeTargets"]
        found = {
            t["labels"]["job"]: "up" if t["health"] == "up" else (t["lastError"] or "not scraped yet") for t in active
        }
        # Prometheus in agent mode has no query interface, and scrapes everything itself.
        written = get(f"{address}/api/v1/query?query=up")["result"] if found else []
    except urllib.error.HTTPError:
        written = []
    except (OSError, ValueError, KeyError) as error:
        return f"{address} does not answer: {error}"
    for series in written:
        value = "up" if series["value"][1] == "1" else "its scrape fails (up is 0)"
        found.setdefault(series["metric"].get("job", ""), value)
    return found


def waiting_for(module, jobs):
    """Empty if all jobs are up, else a text that names the others and the reasons."""
    found = targets(module.params["prometheus"])
    if isinstance(found, str):
        return found
    return "; ".join(
        f"target {job}: {found.get(job, 'unknown to Prometheus')}" for job in jobs if found.get(job) != "up"
    )


def main():
    module = settled_module(
        {
            "units": {"type": "dict", "required": True},
            "prometheus": {"type": "str", "default": "http://127.0.0.1:9090"},
            "prometheus_unit": {"type": "str", "default": "prometheus.service"},
            "steady": {"type": "float", "default": 6},
            "timeout": {"type": "int", "default": 60},
        }
    )
    before = {unit: look(module, unit) for unit in module.params["units"]}
    before = {unit: state for unit, state in before.items() if state.get("LoadState") == "loaded"}
    result = {"changed": False, "units": sorted(before), "targets": []}
    if module.check_mode:
        module.exit_json(**result)
    began = time.monotonic()
    jobs = sorted(filter(None, (module.params["units"][unit] for unit in before)))
    if module.params["prometheus_unit"] in before and module.params["timeout"] > 0:
        missing = waiting_for(module, jobs)
        while missing:
            if time.monotonic() - began > module.params["timeout"]:
                module.fail_json(
                    msg=f"after {module.params['timeout']} s Prometheus does not see everything: {missing}"
                )
            time.sleep(0.5)
            missing = waiting_for(module, jobs)
        result["targets"] = jobs
    calm = began + (module.params["steady"] if any(map(young, before.values())) else 0)
    while True:
        for unit, state in before.items():
            now = look(module, unit)
            if now.get("ActiveState") != "active" or now.get("NRestarts") != state.get("NRestarts"):
                module.fail_json(
                    msg=(
                        f"{unit} is not steady: {now.get('ActiveState')} ({now.get('SubState')}), restarts by itself "
                        f"{state.get('NRestarts')} -> {now.get('NRestarts')}.\n"
                        f"Its last lines:\n{journal_tail(module, unit)}"
                    )
                )
        if time.monotonic() >= calm:
            module.exit_json(**result)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
