#!/usr/bin/python
# Finds conflicts before an installation: ports held by other processes, and services that are not ours.
from __future__ import annotations

import os
import re

from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.host import unit_properties

DOCUMENTATION = r"""
module: host_conflicts
short_description: Find ports and services that others already use, and packages that they hold
description:
  - For each unit it looks who listens on its port, and whether the unit runs already without our drop-in. It only
    reads, and never fails because of what it finds.
options:
  units:
    description: Ports by unit name, a list each.
    type: dict
    required: true
  ours:
    description: Units that only this project installs.
    type: list
    elements: str
    default: []
  drop_in:
    description: File name of our drop-in; a unit with it is ours to change.
    type: str
    default: 10-hypertool.conf
  programs:
    description: Folders in which programs have to start.
    type: list
    elements: path
    default: []
  writes:
    description: Folders in which files have to be written, and files to make. A file that is there already is left out.
    type: list
    elements: path
    default: []
  room:
    description: Folders on whose file systems there has to be room for a release of the package.
    type: list
    elements: path
    default: []
  packages:
    description: Packages to come. Read only where there is dpkg.
    type: list
    elements: str
    default: []
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Look who uses our ports
  host_conflicts:
    units:
      prometheus.service: [9090]
"""

RETURN = r"""
ports:
  description: One sentence for each port that a foreign process holds.
  returned: always
  type: list
services:
  description: Units that run already and are not ours.
  returned: always
  type: list
masked:
  description: Masked units.
  returned: always
  type: list
noexec:
  description: Folders of O(programs) on a file system that is mounted with noexec.
  returned: always
  type: list
readonly:
  description: Folders of O(writes) on a file system that is mounted read-only.
  returned: always
  type: list
full:
  description: One sentence for each of O(room) with too little room, in bytes or in files that can be made.
  returned: always
  type: list
held:
  description: The O(packages) that are not installed and held (`apt-mark hold`), which apt refuses to install.
  returned: always
  type: list
"""

LISTEN = "0A"
# A release of the package has 32 MB and 2,500 files.
ROOM_BYTES = 64 << 20
ROOM_FILES = 4000


def listening():
    """The inode of every listening TCP socket, by port."""
    sockets = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table, encoding="ascii") as handle:
            for line in handle.readlines()[1:]:
                field = line.split()
                if field[3] == LISTEN:
                    sockets.setdefault(int(field[1].rsplit(":", 1)[1], 16), set()).add(field[9])
    return sockets


def holders(inodes):
    """Process ids by socket inode, as far as /proc is readable."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        folder = f"/proc/{pid}/fd"
        try:
            targets = [os.readlink(os.path.join(folder, entry)) for entry in os.listdir(folder)]
        except OSError:
            continue  # The process ended meanwhile.
        for target in targets:
            match = re.match(r"socket:\[(\d+)\]", target)
            if match and match.group(1) in inodes:
                found[match.group(1)] = int(pid)
    return found


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def unit_of(pid):
    """The system service of a process. Services of a user's own manager do not count: any user can name one as ours."""
    for path in re.findall(r"^\d+:[^:\n]*:(/[^\n]*)$", read(f"/proc/{pid}/cgroup"), re.MULTILINE):
        below = path.rpartition("/system.slice/")[2] if "/system.slice/" in path else ""
        names = re.findall(r"^(?:[^/]+\.slice/)*([^/]+\.service)", below)
        if names and "/user.slice/" not in path:
            return names[0]
    return None


def socket_units(module):
    """Socket unit and the unit it starts, by port: systemd itself holds these ports."""
    _, out, _ = module.run_command(["systemctl", "list-sockets", "--all", "--no-legend", "--full"])
    found = {}
    for line in out.splitlines():
        match = re.match(r"\S*?:(\d+)\s+(\S+\.socket)\s+(\S*)", line.strip())
        if match:
            found[int(match[1])] = (match[2], match[3])
    return found


def describe(port, pid, sockets):
    if pid in (None, 1) and port in sockets:
        unit, starts = sockets[port]
        return f"port {port} is taken by {unit}, with which systemd waits to start {starts} (`systemctl stop {unit}`)"
    if pid is None:
        return f"port {port} is taken by a process that cannot be seen from here"
    # On one line: its user chooses it, and must not write further lines of this play.
    words = (read(f"/proc/{pid}/cmdline").replace("\0", " ").strip() or read(f"/proc/{pid}/comm")).split()
    command = " ".join(words)[:120]
    unit = unit_of(pid)
    return f"port {port} is taken by process {pid} ({command}{', unit ' + unit if unit else ''})"


def file_system(path):
    """The facts of the file system of a folder, or of the nearest one above it that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return os.statvfs(path)


def mounted(path, how):
    """Whether a folder is on a file system mounted with a flag."""
    return bool(file_system(path).f_flag & how)


def too_full(path):
    """A sentence about the room in a folder, if it is too little. File systems without a limit of files say 0."""
    facts = file_system(path)
    free = facts.f_bfree * facts.f_frsize
    if free < ROOM_BYTES:
        return f"{path}: {free >> 20} MiB are free, {ROOM_BYTES >> 20} are needed"
    if facts.f_files and facts.f_ffree < ROOM_FILES:
        return f"{path}: {facts.f_ffree} more files can be made (`df -i`), {ROOM_FILES} are needed"
    return ""


def held(module, packages):
    """The packages that are not installed, and that somebody forbade to install."""
    if not packages or not module.get_bin_path("dpkg-query"):
        return []
    # By name: without one, packages that are not installed are left out.
    _, out, _ = module.run_command(
        ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Package}\n", *packages]
    )
    states = {name: state for state, name in (line.split("\t") for line in out.splitlines())}
    return [name for name in packages if states.get(name, "un").startswith("h") and states[name][1] != "i"]


def main():
    module = settled_module(
        {
            "units": {"type": "dict", "required": True},
            "ours": {"type": "list", "elements": "str", "default": []},
            "drop_in": {"type": "str", "default": "10-hypertool.conf"},
            "programs": {"type": "list", "elements": "path", "default": []},
            "writes": {"type": "list", "elements": "path", "default": []},
            "room": {"type": "list", "elements": "path", "default": []},
            "packages": {"type": "list", "elements": "str", "default": []},
        }
    )
    sockets, waiting = listening(), socket_units(module)
    ports, services, masked = [], [], []
    for unit, numbers in module.params["units"].items():
        drop_in = f"/etc/systemd/system/{unit}.d/{module.params['drop_in']}"
        ours = unit in module.params["ours"] or os.path.exists(drop_in)
        state = unit_properties(module, unit, "ActiveState", "LoadState")
        active = state.get("ActiveState") == "active"
        if state.get("LoadState") == "masked":
            masked.append(unit)
        if active and not ours:
            services.append(unit)
        for port in map(int, numbers):
            inodes = sockets.get(port, set())
            owners = holders(inodes) if inodes else {}
            for inode in inodes:
                pid = owners.get(inode)
                # Where /proc hides other users' processes (in a container), a running unit explains its port.
                if unit_of(pid) != unit if pid else not active:
                    ports.append(describe(port, pid, waiting))
    module.exit_json(
        changed=False,
        ports=sorted(set(ports)),
        services=sorted(services),
        masked=sorted(masked),
        noexec=[path for path in module.params["programs"] if mounted(path, os.ST_NOEXEC)],
        readonly=[
            path
            for path in module.params["writes"]
            if (os.path.isdir(path) or not os.path.lexists(path)) and mounted(path, os.ST_RDONLY)
        ],
        full=list(filter(None, map(too_full, module.params["room"]))),
        held=held(module, module.params["packages"]),
    )


if __name__ == "__main__":
    main()
