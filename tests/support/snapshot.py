"""What is on a host: files, units, accounts, ports, packages. Runs on the host itself and prints JSON.

What a host changes by itself is left out: caches, logs, lists of package archives, and the package
manager's own database, whose content is compared as a list of packages instead.
"""

import grp
import hashlib
import json
import os
import pwd
import stat
import subprocess

SKIPPED = (
    "/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/cache", "/var/log", "/var/lib/apt", "/var/lib/dpkg",
    "/root/.ansible", "/root/.cache", "/etc/ld.so.cache", "/etc/.pwd.lock", "/var/lib/systemd/timers",
    "/var/lib/systemd/random-seed", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname",
)  # fmt: skip
LIST_UNITS = ("systemctl", "list-units", "--no-legend", "--plain")
BACKUPS = {f"/etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")}


def name_of(lookup, number):
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)


def describe(path):
    facts = os.lstat(path)
    owner = f"{name_of(pwd.getpwuid, facts.st_uid)}:{name_of(grp.getgrgid, facts.st_gid)}"
    text = f"{stat.filemode(facts.st_mode)} {owner}"
    if stat.S_ISLNK(facts.st_mode):
        return f"{text} -> {os.readlink(path)}"
    if stat.S_ISREG(facts.st_mode):
        with open(path, "rb") as handle:
            return f"{text} {hashlib.sha256(handle.read()).hexdigest()[:16]}"
    return text


DEEPEST = 100


def files():
    found = {}
    for top, folders, names in os.walk("/"):
        folders[:] = [f for f in folders if os.path.join(top, f) not in SKIPPED and f != "__pycache__"]
        if top.count("/") > DEEPEST:  # a trap: no path of a host is that deep
            folders.clear()
        for name in [*folders, *names]:
            path = os.path.join(top, name)
            if path not in SKIPPED and path not in BACKUPS:
                found[path] = describe(path)
    return found


def lines(*command):
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sorted(" ".join(line.split()) for line in shown.splitlines())


def main():
    everything = {
        "files": files(),
        "units": lines("systemctl", "list-unit-files", "--no-legend", "--plain"),
        # Not the ones that have done their work: which of those there are depends on the last boot.
        "services": lines(*LIST_UNITS, "--type=service,socket,timer", "--state=running,listening,waiting,failed"),
        "users": lines("getent", "passwd"),
        "groups": lines("getent", "group"),
        "ports": [" ".join(line.split()[:5]) for line in lines("ss", "-Hlntu")],
        "packages": lines("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n"),
        "marked": lines("apt-mark", "showmanual"),
    }
    print(json.dumps(everything))


main()
