#!/usr/bin/python
# Installs packages after recording which ones are new to the host; removes exactly those again.
from __future__ import annotations

import os
import pwd
import shutil
import time

from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.host import group_exists, journal_tail, unit_properties, user_exists
from ansible.module_utils.hypertool.packages import bring_about
from ansible.module_utils.hypertool.planning import note_packages, note_states
from ansible.module_utils.hypertool.removal import Removal

DOCUMENTATION = r"""
module: recorded_packages
short_description: Install distribution packages and keep a record of what was new
description:
  - Writes the names of all packages that the installation will add (dependencies included) to a record before it
    starts, together with users and units that exist already. So an interrupted installation can be removed completely.
  - Files that are at a package's paths before it is installed are copied beside the record; programs that no package
    owns are refused, unless O(take_over) is set.
  - With O(state=absent) it removes what the record names and nothing else, and purges only what leaves alone what was
    there before. It puts files, folders and units back as they were, waits until those that ran run again, removes
    users that did not exist before, and deletes the record. What does not run again is a failure, and the record stays.
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
  take_over:
    description: Let packages overwrite programs that no package owns; they are put back with O(state=absent).
    type: bool
    default: false
  leftovers:
    description:
      - With O(state=absent), folders that a package leaves, by package. Those that were not there before go with it.
        The ones of the empty name go where they are empty, and to root where their user went.
    type: dict
    default: {}
  state:
    description: C(present) installs, C(absent) removes everything in the record.
    choices: [present, absent]
    default: present
    type: str
extends_documentation_fragment: [record]
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
restored:
  description: Files and folders that were put back as they were before.
  returned: state is absent
  type: list
running:
  description: Units that ran before the installation and were seen to run again.
  returned: state is absent
  type: list
missing:
  description: Services that ran before the installation, are still installed, and do not run now.
  returned: state is absent
  type: list
"""


# Seconds within which a service that ran before must run again, without an automatic restart.
STEADY = 3
RUNS_WITHIN = 30


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
        note_packages(packages, record, missing, new, module.params["take_over"])
        note_states(packages, record, names)
        record.packages |= set(new)
        record.save()
        packages.install(missing)
        result["installed"] = new
    elif noted and not module.check_mode:
        note_states(packages, record, names)
        record.save()
    return result


def touched(noted, record):
    """The users or units that we created or changed, each with its earlier state; others are only recorded."""
    return [(name, before) for name, before in noted.items() if name in record.touched]


def disable_units(module, record):
    """Disable new units while their files still exist: not every package removes the links that enable its units."""
    for unit, before in touched(record.units, record):
        if not before["loaded"] and unit_properties(module, unit, "LoadState").get("LoadState") == "loaded":
            # Keep links from before the installation; `systemctl disable` would remove them.
            verb = ["stop"] if before.get("links") else ["disable", "--now"]
            module.run_command(["systemctl", *verb, unit], check_rc=True)


def restore_units(module, record):
    """Restore the earlier state of units; returns those that ran before, and the problems of those that fail to run."""
    module.run_command(["systemctl", "daemon-reload"])
    running, trouble = [], []
    for unit, before in touched(record.units, record):
        state = unit_properties(module, unit, "LoadState", "ActiveState", "UnitFileState")
        if not before["loaded"] or state.get("LoadState") != "loaded":
            if before["active"]:
                trouble.append(f"{unit} ran before, and is not installed any more")
            continue
        if before["enabled"] != (state.get("UnitFileState") == "enabled"):
            module.run_command(["systemctl", "enable" if before["enabled"] else "disable", unit])
        module.run_command(["systemctl", "reset-failed", unit])
        module.run_command(["systemctl", "restart" if before["active"] else "stop", unit])
        if before["active"]:
            running.append(unit)
    trouble += [text for text in (unsteady(module, unit) for unit in running) if text]
    return running, trouble


def unsteady(module, unit):
    """Empty if the unit runs and keeps running, else the problem as text."""
    deadline, since, before = time.monotonic() + RUNS_WITHIN, None, None
    while True:
        now = unit_properties(module, unit, "ActiveState", "SubState", "NRestarts")
        if now.get("ActiveState") != "active" or (before is not None and now != before):
            since = None
        elif since is None:
            since = time.monotonic()
        before = now
        if since is not None and time.monotonic() - since > STEADY:
            return ""
        if time.monotonic() > deadline:
            state = f"{now.get('ActiveState')} ({now.get('SubState')}), restarts by itself {now.get('NRestarts')}"
            return f"{unit} ran before and is {state} now. Its last lines:\n{journal_tail(module, unit)}"
        time.sleep(0.2)


def remove_users(module, record):
    for name, existed in touched(record.users, record):
        if existed:
            continue
        if user_exists(name):
            module.run_command(["userdel", name], check_rc=True)
        if group_exists(name):
            module.run_command(["groupdel", name], check_rc=True)


def remove_leftovers(module, record, removed):
    """Remove folders of removed packages, unless they held something before the installation."""
    for package, folders in module.params["leftovers"].items():
        for folder in folders:
            if folder in record.paths or os.path.islink(folder) or not os.path.isdir(folder):
                continue
            if package in removed:
                shutil.rmtree(folder)
            elif not package and not os.listdir(folder):
                os.rmdir(folder)
            elif not package and not has_owner(folder):
                os.chown(folder, 0, 0, follow_symlinks=False)


def has_owner(path):
    try:
        pwd.getpwuid(os.lstat(path).st_uid)
    except KeyError:
        return False
    return True


def ours_of(packages, record, names):
    """Packages that we installed: the recorded ones, and those that a distribution upgrade split off from them."""
    now = packages.states(sorted(record.packages | set(names)))
    ours = {name for name in record.packages if now[name] and now[name] != record.states.get(name)}
    late = [name for name in names if record.states.get(name) == "" and name not in ours and now[name] in ("ii", "hi")]
    return ours | packages.dependencies_since(late) if late else ours


def no_more_running(module, record):
    """Services that ran before and are still installed, but do not run."""
    gone = []
    for unit in record.services:
        state = unit_properties(module, unit, "LoadState", "ActiveState")
        if state.get("LoadState") == "loaded" and state.get("ActiveState") not in ("active", "activating", "reloading"):
            gone.append(unit)
    return gone


def absent(module, packages, record):
    names = module.params["names"]
    ours = ours_of(packages, record, names)
    kept = sorted(set(names) - set(packages.missing(names)) - ours)
    users = [name for name, existed in touched(record.users, record) if not existed and user_exists(name)]
    changed = bool(ours or users or record.units or record.users)
    result = {"changed": changed, "removed": [], "kept": kept, "restored": [], "running": [], "missing": []}
    if module.check_mode:
        result["diff"] = {"before": "".join(f"package {name}\n" for name in sorted(ours)), "after": ""}
        result["removed"] = sorted(ours)
        return result
    # The roles have removed their drop-ins; after the reload, units start with their packages' own settings.
    module.run_command(["systemctl", "daemon-reload"], check_rc=True)
    disable_units(module, record)
    result["removed"], result["restored"] = Removal(module, packages, record).run(ours)
    still_needed = sorted(ours - set(result["removed"]))
    if still_needed:
        module.warn("left installed because packages that are not ours need them: " + ", ".join(still_needed))
    result["running"], trouble = restore_units(module, record)
    remove_users(module, record)
    remove_leftovers(module, record, result["removed"])
    if trouble:
        module.fail_json(
            msg="Everything of ours is removed, but not everything of before runs again: "
            + "\n".join(trouble)
            + f"\nStart it, then run this again: {record.path} stays until it runs.",
            **result,
        )
    result["missing"] = no_more_running(module, record)
    record.delete()
    return result


def main():
    module = settled_module(
        {
            "names": {"type": "list", "elements": "str", "default": []},
            "users": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "take_over": {"type": "bool", "default": False},
            "leftovers": {"type": "dict", "default": {}},
            "state": {"choices": ["present", "absent"], "default": "present"},
            "record": {"type": "path", "default": "/var/lib/hypertool-install/record.json"},
        }
    )
    bring_about(module, {"present": present, "absent": absent})


if __name__ == "__main__":
    main()
