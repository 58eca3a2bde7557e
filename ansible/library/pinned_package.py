#!/usr/bin/python
# Installs one package at one version, from the repositories or from a file, and holds it at that version.
from __future__ import annotations

import os

from ansible.module_utils.hypertool.alloy import restart_refusal
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.host import unit_properties
from ansible.module_utils.hypertool.packages import bring_about
from ansible.module_utils.hypertool.planning import note_packages, note_states

DOCUMENTATION = r"""
module: pinned_package
short_description: Install a package at one version and hold it there
description:
  - Installs, upgrades or downgrades to exactly the version that is asked for, and keeps everybody else (unattended
    upgrades) from changing it. What is new to the host is written into the record first, as M(recorded_packages) does.
  - An upgrade or a downgrade of a running unit restarts it; while it has a backlog this waits, and then refuses.
options:
  name:
    description: The package.
    type: str
    required: true
  version:
    description: Its version, release included. Not needed with O(file).
    type: str
  file:
    description: A package file on the host to take instead of the repository's.
    type: path
  users:
    description: System users (and groups of the same name) that the package makes.
    type: list
    elements: str
    default: []
  unit:
    description: The unit it brings.
    type: str
    required: true
  state:
    description: C(released) gives the hold back that was there before us, so that the package can be removed.
    choices: [present, released]
    default: present
    type: str
  url:
    description: Address whose metrics show the unit's backlog.
    type: str
    default: http://127.0.0.1:12345
  take_over:
    description: Let the package overwrite programs that no package owns.
    type: bool
    default: false
extends_documentation_fragment: [backlog, record]
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Install Alloy
  pinned_package:
    name: alloy
    version: 1.18.1-1
    unit: alloy.service
"""

RETURN = r"""
action:
  description: What was (in check mode - would be) done, out of none, install, upgrade, downgrade.
  returned: always
  type: str
ours:
  description: Whether the package was not on the host before us.
  returned: state is released
  type: bool
before:
  description: The version that was installed, empty where there was none.
  returned: always
  type: str
"""


def wanted_version(module, packages):
    """The wanted version; None only in check mode, when the file is not on the host yet."""
    path, name = module.params["file"], module.params["name"]
    if not path:
        return module.params["version"]
    if not os.path.exists(path) and module.check_mode:
        return None
    found, version = packages.about_file(path)
    if found != name:
        raise HostError(f"{path} is the package {found}, expected {name}")
    return version


def present(module, packages, record):
    name = module.params["name"]
    installed, wanted = packages.version(name), wanted_version(module, packages)
    action = "none"
    if installed is None:
        action = "install"
    elif installed != wanted:
        action = "upgrade" if wanted is None or packages.newer(wanted, installed) else "downgrade"
    noted = record.remember(module, module.params["users"], [module.params["unit"]])
    held = installed is not None and packages.held(name)
    result = {"changed": noted or action != "none" or not held, "action": action, "before": installed or ""}
    if action != "none":
        result["diff"] = {"before": f"{name} {installed or 'absent'}\n", "after": f"{name} {wanted or 'of the file'}\n"}
    if module.check_mode:
        return result
    if action in ("upgrade", "downgrade"):
        active = unit_properties(module, module.params["unit"], "ActiveState").get("ActiveState") == "active"
        refusal = active and restart_refusal(
            module,
            f"{action} from {installed} to {wanted}",
            {
                "unit": module.params["unit"],
                "url": module.params["url"],
                "wait": module.params["guard_seconds"],
                "forced": module.params["restart_with_backlog"],
                "variable": "alloy_restart_with_backlog",
            },
        )
        if refusal:
            raise HostError(refusal)
    record.holds.setdefault(name, held)
    note_states(packages, record, [name])
    if action != "none":
        packages.refresh()
        new, archive = packages.planned(name, wanted, module.params["file"]), module.params["file"]
        note_packages(packages, record, [f"{name}={wanted}"], new, module.params["take_over"], archive)
        record.packages |= set(new)
    record.save()
    if action != "none":
        packages.install_exactly(name, wanted, module.params["file"])
    if not packages.held(name):
        packages.hold(name)
    return result


def released(module, packages, record):
    name = module.params["name"]
    due = record.holds.get(name) is False and packages.version(name) is not None and packages.held(name)
    if due and not module.check_mode:
        packages.hold(name, wanted=False)
    installed = packages.version(name) or ""
    return {"changed": due, "action": "none", "before": installed, "ours": name in record.packages}


def main():
    module = settled_module(
        {
            "name": {"type": "str", "required": True},
            "version": {"type": "str"},
            "file": {"type": "path"},
            "users": {"type": "list", "elements": "str", "default": []},
            "unit": {"type": "str", "required": True},
            "state": {"choices": ["present", "released"], "default": "present"},
            "url": {"type": "str", "default": "http://127.0.0.1:12345"},
            "guard_seconds": {"type": "int", "default": 120},
            "restart_with_backlog": {"type": "bool", "default": False},
            "take_over": {"type": "bool", "default": False},
            "record": {"type": "path", "default": "/var/lib/hypertool-install/record.json"},
        }
    )
    bring_about(module, {"present": present, "released": released})


if __name__ == "__main__":
    main()
