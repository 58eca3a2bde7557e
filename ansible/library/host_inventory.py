#!/usr/bin/python
# Records the state of a host before the first change, so that an uninstallation can restore it.
from __future__ import annotations

from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.inventory import Inventory
from ansible.module_utils.hypertool.packages import package_manager
from ansible.module_utils.hypertool.planning import note_packages, note_states
from ansible.module_utils.hypertool.record import Record

DOCUMENTATION = r"""
module: host_inventory
short_description: Write down what a host is like before the first change
description:
  - Notes in the record of the installation the state of packages, units and users, the services that run, and what is
    in the folders of packages. Configuration files are copied; of data only the upper folders are noted.
  - Fetches the packages that are missing and looks at what is at their paths already. It refuses to let a package
    overwrite a program that no package owns, unless O(take_over) is set.
  - Each thing is noted the first time only. A run that finds everything noted and installed takes no time.
options:
  packages:
    description: Packages that the play will ask for. Those that no repository has yet are looked at later.
    type: list
    elements: str
    default: []
  folders:
    description: Folders that belong to these packages.
    type: list
    elements: path
    default: []
  users:
    description: System users and groups of the same name that the packages or the roles will create.
    type: list
    elements: str
    default: []
  units:
    description: Units that the play will change.
    type: list
    elements: str
    default: []
  take_over:
    description: Let packages overwrite programs that no package owns; they are put back when uninstalling.
    type: bool
    default: false
extends_documentation_fragment: [record]
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Write down what is here
  host_inventory:
    packages: [prometheus]
    folders: [/etc/prometheus, /var/lib/prometheus]
    units: [prometheus.service]
"""

RETURN = r"""
found:
  description: Files and folders that are noted because they were here before.
  returned: always
  type: list
"""


def running_services(module):
    argv = ["systemctl", "list-units", "--type=service", "--state=running", "--no-legend", "--plain"]
    _, out, _ = module.run_command(argv)
    return sorted(line.split()[0] for line in out.splitlines() if line.strip())


def take(module, packages, record):
    wanted, names = module.params, module.params["packages"]
    first = not record.looked
    noted = record.remember(module, wanted["users"], wanted["units"], touched=False)
    # On hosts installed by an older version, our packages are present already; their files are ours.
    ours = sorted(record.packages) if set(wanted["folders"]) - record.looked else []
    noted |= Inventory(record, copies=not module.check_mode).look_at_folders(
        wanted["folders"], [path for name in ours for path in packages.paths_of(name)]
    )
    if first:
        record.services = running_services(module)
    known = set(record.states)
    note_states(packages, record, names)
    noted |= set(record.states) != known
    missing = packages.missing(packages.obtainable(packages.missing(names)))
    if not module.check_mode:
        if missing:
            packages.refresh()
            new = packages.would_add(missing)
            note_packages(packages, record, missing, new, wanted["take_over"])
        if noted or missing:
            record.save()
    return {"changed": noted, "found": sorted(record.paths)}


def main():
    module = settled_module(
        {
            "packages": {"type": "list", "elements": "str", "default": []},
            "folders": {"type": "list", "elements": "path", "default": []},
            "users": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "take_over": {"type": "bool", "default": False},
            "record": {"type": "path", "default": "/var/lib/hypertool-install/record.json"},
        }
    )
    try:
        module.exit_json(**take(module, package_manager(module), Record(module.params["record"])))
    except HostError as error:
        module.fail_json(msg=f"{error} Nothing was changed.")


if __name__ == "__main__":
    main()
