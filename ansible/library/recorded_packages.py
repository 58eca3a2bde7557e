#!/usr/bin/python
# Installs packages and writes down, before it does, which ones are new to the host; takes exactly those back.
from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.hypertool.host import group_exists, unit_properties, user_exists
from ansible.module_utils.hypertool.packages import bring_about

DOCUMENTATION = r"""
module: recorded_packages
short_description: Install distribution packages and keep a record of what was new
description:
  - Writes the names of all packages that the installation will add (dependencies included) to a record before it
    starts, together with users and units that exist already. An interrupted installation can so be taken back whole.
  - With O(state=absent) it removes what the record names and nothing else, puts units back as they were, removes users
    that did not exist before, and deletes the record.
options:
  names:
    description: Packages that must be there.
    type: list
    elements: str
    default: []
  users:
    description: System users and groups of the same name that the packages or the role will create.
    type: list
    elements: str
    default: []
  units:
    description: Units whose state before the first installation is worth remembering.
    type: list
    elements: str
    default: []
  state:
    description: C(present) installs, C(absent) takes back everything in the record.
    choices: [present, absent]
    default: present
    type: str
  record:
    description: The record's path.
    type: path
    default: /var/lib/hypertool-install/record.json
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Install Prometheus
  recorded_packages:
    names: [prometheus]
    users: [prometheus]
    units: [prometheus.service]
"""

RETURN = r"""
installed:
  description: Names of the packages that were added (in check mode - would be).
  returned: state is present
  type: list
removed:
  description: Names of the packages that were removed.
  returned: state is absent
  type: list
kept:
  description: Asked-for packages that stay because they were on the host before.
  returned: always
  type: list
"""


def present(module, packages, record):
    names = module.params["names"]
    missing = packages.missing(names)
    noted = record.remember(module, module.params["users"], module.params["units"])
    kept = sorted(set(names) - set(missing) - record.packages)
    result = {"changed": bool(missing) or noted, "installed": [], "kept": kept}
    if missing:
        if module.check_mode:
            result["installed"] = missing
            result["diff"] = {"before": "", "after": "".join(f"package {name}\n" for name in missing)}
            return result
        packages.refresh()
        new = packages.would_add(missing)
        record.packages |= set(new)
        record.save()
        packages.install(missing)
        result["installed"] = new
    elif noted and not module.check_mode:
        record.save()
    return result


def disable_units(module, record):
    """While their files are still there: not every package removes the links that enabled it."""
    for unit, before in record.units.items():
        if not before["loaded"] and unit_properties(module, unit, "LoadState").get("LoadState") == "loaded":
            module.run_command(["systemctl", "disable", "--now", unit], check_rc=True)


def restore_units(module, record):
    for unit, before in record.units.items():
        state = unit_properties(module, unit, "LoadState", "ActiveState", "UnitFileState")
        if not before["loaded"] or state.get("LoadState") != "loaded":
            continue
        if before["enabled"] != (state.get("UnitFileState") == "enabled"):
            module.run_command(["systemctl", "enable" if before["enabled"] else "disable", unit], check_rc=True)
        module.run_command(["systemctl", "restart" if before["active"] else "stop", unit], check_rc=True)


def remove_users(module, record):
    for name, existed in record.users.items():
        if existed:
            continue
        if user_exists(name):
            module.run_command(["userdel", name], check_rc=True)
        if group_exists(name):
            module.run_command(["groupdel", name], check_rc=True)


def absent(module, packages, record):
    ours = packages.known(record.packages)
    kept = sorted(set(module.params["names"]) - set(packages.missing(module.params["names"])) - record.packages)
    users = [name for name, existed in record.users.items() if not existed and user_exists(name)]
    changed = bool(ours or users or record.units or record.users)
    result = {"changed": changed, "removed": [], "kept": kept}
    if module.check_mode:
        result["diff"] = {"before": "".join(f"package {name}\n" for name in sorted(ours)), "after": ""}
        result["removed"] = sorted(ours)
        return result
    # The roles removed their drop-ins; a unit that starts again does so as its package has it.
    module.run_command(["systemctl", "daemon-reload"], check_rc=True)
    disable_units(module, record)
    result["removed"] = packages.remove(ours) if ours else []
    still_needed = sorted(set(ours) - set(result["removed"]))
    if still_needed:
        module.warn("left installed because packages that are not ours need them: " + ", ".join(still_needed))
    restore_units(module, record)
    remove_users(module, record)
    record.delete()
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "default": []},
            "users": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "state": {"choices": ["present", "absent"], "default": "present"},
            "record": {"type": "path", "default": "/var/lib/hypertool-install/record.json"},
        },
        supports_check_mode=True,
    )
    bring_about(module, {"present": present, "absent": absent})


if __name__ == "__main__":
    main()
