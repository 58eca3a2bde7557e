# Asks dnf what an installation would add or what a removal would remove, and carries it out.
from __future__ import annotations

import re

from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.package_commands import PackageCommands


class Dnf(PackageCommands):
    """The RHEL 9 family (dnf 4) and Fedora (dnf 5); their transaction tables have the same section titles."""

    BASE = ("dnf", "--assumeyes", "--setopt=install_weak_deps=False")

    def _installed(self):
        _, out, _ = self.module.run_command(["rpm", "-qa", "--queryformat", "%{NAME}\n"])
        return set(out.split())

    def missing(self, names):
        absent = []
        for name in names:
            # A package with another name may provide the name.
            rc, _, _ = self.module.run_command(["rpm", "-q", "--whatprovides", name])
            if rc != 0:
                absent.append(name)
        return absent

    def known(self, names):
        return self._installed() & set(names)

    def states(self, names):
        """States like apt's: `ii` for an installed package, else empty."""
        installed = self._installed()
        return {name: "ii" if name in installed else "" for name in names}

    def obtainable(self, names):
        return []

    def dependencies_since(self, names):
        return set()

    def refresh(self):
        return None

    def fetched(self, names, new):
        """Empty: rpm keeps an existing file by writing its own as .rpmnew, and keeps an edited file on removal."""
        return {}

    def paths_of(self, name):
        rc, out, _ = self.module.run_command(["rpm", "-ql", name])
        return [line for line in out.splitlines() if line.startswith("/")] if rc == 0 else []

    def digests_of(self, name):
        return {}

    @staticmethod
    def added_in_table(text):
        """Package names in the sections of a transaction table that add packages."""
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
        # With --assumeno, dnf prints the transaction and exits with 1.
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
        # The repository excludes the package from all other transactions: that holds its version.
        argv = [*self.BASE, "--disableexcludes=all", verb, path or f"{name}-{version}"]
        self.run(argv, f"installing {name} {version}")

    def held(self, name):
        return True

    def hold(self, name, wanted=True):
        return None

    def removable(self, names):
        return sorted(self.known(names))

    def take_away(self, names, purge, through=()):
        """Remove packages; dnf has no purge, and deletes no data."""
        if names:
            without_others = "--setopt=clean_requirements_on_remove=False"
            self.run([*through, *self.BASE, without_others, "remove", *names], "removing " + ", ".join(names))
