# Asks apt or dnf what an installation would add or a removal would take with it, and does it without questions.
from __future__ import annotations

import os
import re
import time
import traceback

from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.host import Record

LISTS_FRESH_SECONDS = 3600
LISTS = "/var/lib/apt/lists"


class _Manager:
    def __init__(self, module):
        self.module = module

    def run(self, argv, doing):
        rc, out, err = self.module.run_command(
            argv, environ_update={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        )
        if rc != 0:
            tail = "\n".join((out + "\n" + err).strip().splitlines()[-12:])
            raise HostError(
                f"{doing} failed ({' '.join(argv)}, exit {rc}). Does this host reach its package mirror, and is no "
                f"other package operation running or broken? Last lines:\n{tail}"
            )
        return out


class Apt(_Manager):
    """Debian and Ubuntu; without recommended packages, and never touching a configuration file that exists."""

    BASE = (
        "apt-get",
        "--assume-yes",
        "--quiet",
        "--no-install-recommends",
        "-o",
        "DPkg::Lock::Timeout=180",
        "-o",
        "Dpkg::Options::=--force-confold",
        "-o",
        "Dpkg::Options::=--force-confdef",
    )

    # What else it takes to install one version and no other, held or newer ones included.
    EXACTLY = ("--allow-downgrades", "--allow-change-held-packages")

    def _states(self):
        _, out, _ = self.module.run_command(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Package}\n"])
        return {name: state.strip() for state, name in (line.split("\t") for line in out.splitlines())}

    def missing(self, names):
        states = self._states()
        return [name for name in names if states.get(name) not in ("ii", "hi")]

    def known(self, names):
        states = self._states()
        return {name for name in names if states.get(name, "un")[1:2] != "n"}

    def refresh(self):
        # An installation that was killed leaves packages unpacked, and apt refuses to go on until they are configured.
        self.run(["dpkg", "--force-confold", "--configure", "--pending"], "finishing an interrupted package operation")
        lists = [name for name in os.listdir(LISTS) if name.endswith(("Packages", "InRelease", ".lz4", ".xz"))]
        age = time.time() - os.stat(LISTS).st_mtime
        if not lists or age > LISTS_FRESH_SECONDS:
            self.run(["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=180", "update"], "reading the package lists")

    def would_add(self, names):
        command = [*self.BASE, *self.EXACTLY, "--simulate", "install", *names]
        try:
            out = self.run(command, "planning the installation")
        except HostError:
            self.run(["apt-get", "--quiet", "update"], "reading the package lists")
            out = self.run(command, "planning the installation")
        # An upgrade is printed as `Inst name [old version] (...)`, an addition without the brackets.
        return sorted(re.findall(r"^Inst (\S+) \(", out, re.MULTILINE))

    def install(self, names):
        self.run([*self.BASE, "install", *names], "installing " + ", ".join(names))

    def version(self, name):
        """The installed version, None where it is not installed."""
        shown = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name]
        _, out, _ = self.module.run_command(shown)
        status, _, version = out.partition(" ")
        return version if status == "installed" else None

    def about_file(self, path):
        """Name and version of a package file."""
        out = self.run(["dpkg-deb", "--field", path, "Package", "Version"], f"reading {path}")
        fields = dict(line.split(": ", 1) for line in out.splitlines())
        return fields["Package"], fields["Version"]

    def newer(self, one, other):
        return self.module.run_command(["dpkg", "--compare-versions", one, "gt", other])[0] == 0

    def install_exactly(self, name, version, path=None):
        wanted = path or f"{name}={version}"
        self.run([*self.BASE, *self.EXACTLY, "install", wanted], f"installing {name} {version}")

    def planned(self, name, version, path=None):
        return self.would_add([path or f"{name}={version}"])

    def held(self, name):
        return name in self.run(["apt-mark", "showhold"], "reading which packages are held").split()

    def hold(self, name, wanted=True):
        self.run(["apt-mark", "hold" if wanted else "unhold", name], f"holding {name}")

    def _would_remove(self, names):
        out = self.run([*self.BASE, "--simulate", "purge", *sorted(names)], "planning the removal")
        return set(re.findall(r"^(?:Remv|Purg) (\S+)", out, re.MULTILINE))

    def remove(self, names):
        removable = set(names)
        if self._would_remove(removable) - set(names):
            removable = {name for name in names if not self._would_remove({name}) - set(names)}
        if removable:
            self.run([*self.BASE, "purge", *sorted(removable)], "removing " + ", ".join(sorted(removable)))
        return sorted(removable)


class Dnf(_Manager):
    """The RHEL 9 family (dnf 4) and Fedora (dnf 5); their transaction tables have the same section titles."""

    BASE = ("dnf", "--assumeyes", "--setopt=install_weak_deps=False")

    def _installed(self):
        _, out, _ = self.module.run_command(["rpm", "-qa", "--queryformat", "%{NAME}\n"])
        return set(out.split())

    def missing(self, names):
        absent = []
        for name in names:
            # A name may be provided by a package that is called otherwise.
            rc, _, _ = self.module.run_command(["rpm", "-q", "--whatprovides", name])
            if rc != 0:
                absent.append(name)
        return absent

    def known(self, names):
        return self._installed() & set(names)

    def refresh(self):
        return None

    @staticmethod
    def added_in_table(text):
        """Package names in the sections of a transaction table that add something."""
        names, adding = set(), False
        for line in text.splitlines():
            title = re.match(r"^([A-Z][A-Za-z ]+):\s*$", line)
            if title:
                adding = title.group(1).lower().startswith("installing")
            elif not line.startswith(" "):
                adding = False
            elif adding and len(line.split()) >= 4:
                names.add(line.split()[0])
        return sorted(names)

    def would_add(self, names):
        # It answers its own question with no, and exits with 1 for it.
        _, out, err = self.module.run_command(
            ["dnf", "--assumeno", "--setopt=install_weak_deps=False", "install", *names],
            environ_update={"LC_ALL": "C"},
        )
        added = self.added_in_table(out)
        if not added:
            tail = "\n".join((out + err).strip().splitlines()[-12:])
            raise HostError(
                f"dnf finds no way to install {', '.join(names)}. On the RHEL 9 family they come from EPEL (package "
                f"epel-release). Last lines:\n{tail}"
            )
        return added

    def install(self, names):
        self.run([*self.BASE, "install", *names], "installing " + ", ".join(names))

    def version(self, name):
        rc, out, _ = self.module.run_command(["rpm", "-q", "--queryformat", "%{VERSION}-%{RELEASE}", name])
        return out.strip() if rc == 0 else None

    def about_file(self, path):
        shown = ["rpm", "-qp", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}", path]
        name, _, version = self.run(shown, f"reading {path}").strip().partition(" ")
        return name, version

    def newer(self, one, other):
        compared = self.run(["rpm", "--eval", f'%{{lua:print(rpm.vercmp("{one}", "{other}"))}}'], "comparing versions")
        return compared.strip() == "1"

    def planned(self, name, version, path=None):
        return [name] if self.version(name) is None else []

    def install_exactly(self, name, version, path=None):
        installed = self.version(name)
        verb = "downgrade" if installed and self.newer(installed, version) else "install"
        # The repository leaves the package out for everybody else: that is how it is held.
        argv = [*self.BASE, "--disableexcludes=all", verb, path or f"{name}-{version}"]
        self.run(argv, f"installing {name} {version}")

    def held(self, name):
        return True

    def hold(self, name, wanted=True):
        return None

    def remove(self, names):
        present = sorted(self.known(names))
        if present:
            self.run(
                [*self.BASE, "--setopt=clean_requirements_on_remove=False", "remove", *present],
                "removing " + ", ".join(present),
            )
        return present


def package_manager(module):
    if module.get_bin_path("apt-get"):
        return Apt(module)
    if module.get_bin_path("dnf"):
        return Dnf(module)
    raise HostError(
        "neither apt-get nor dnf is on this host; supported are Debian, Ubuntu, the RHEL 9 family and Fedora"
    )


def bring_about(module, states):
    """End the module with the result of its state's function, which is given the package manager and the record."""
    try:
        result = states[module.params["state"]](module, package_manager(module), Record(module.params["record"]))
    except HostError as error:
        module.fail_json(msg=str(error), exception=traceback.format_exc())
    module.exit_json(**result)
