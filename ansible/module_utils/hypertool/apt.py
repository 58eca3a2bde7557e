# Asks apt what an installation would add or what a removal would remove, and carries it out.
from __future__ import annotations

import glob
import os
import re
import time

from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.package_commands import ENVIRONMENT, PackageCommands

LISTS_FRESH_SECONDS = 3600
LISTS = "/var/lib/apt/lists"
# apt refuses a repository whose description of itself changed, until somebody accepts it.
RENAMED = re.compile(r"changed its '\w+' value from ")


class Apt(PackageCommands):
    """Debian and Ubuntu: installs no recommended packages, and never changes an existing configuration file."""

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

    # Options that allow exactly one version, even if it is held or older than the installed one.
    EXACTLY = ("--allow-downgrades", "--allow-change-held-packages")

    def states(self, names):
        """dpkg's state of each package, such as `ii` or `rc`; empty for an unknown package."""
        _, out, _ = self.module.run_command(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Package}\n"])
        known = {name: state.strip() for state, name in (line.split("\t") for line in out.splitlines())}
        return {name: "" if known.get(name, "un")[1:2] == "n" else known[name] for name in names}

    def missing(self, names):
        return [name for name, state in self.states(names).items() if state not in ("ii", "hi")]

    def known(self, names):
        return {name for name, state in self.states(names).items() if state}

    def dependencies_since(self, names):
        """The given packages that were installed as dependencies, not on request."""
        return set(names) & set(self.run(["apt-mark", "showauto"], "reading why packages are installed").split())

    def refresh(self):
        # A killed installation leaves unpacked packages, and apt refuses to continue until they are configured.
        self.run(["dpkg", "--force-confold", "--configure", "--pending"], "finishing an interrupted package operation")
        lists = [name for name in os.listdir(LISTS) if name.endswith(("Packages", "InRelease", ".lz4", ".xz"))]
        age = time.time() - os.stat(LISTS).st_mtime
        if not lists or age > LISTS_FRESH_SECONDS:
            self.update()

    def update(self):
        """Refresh the package lists. A failing repository is a warning; only a missing package is an error."""
        rc, out, err = self.module.run_command(
            ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=180", "update"], environ_update=ENVIRONMENT
        )
        told = [line for line in (out + "\n" + err).splitlines() if line.startswith(("E: ", "Err:"))]
        if rc != 0 or told:
            renamed = any(RENAMED.search(line) for line in told)
            self.module.warn(
                "apt-get update does not read every repository of this host; what is here already is used: "
                + " ".join(told[:6] or [f"exit {rc}"])
                + (" Accept that with `apt-get update --allow-releaseinfo-change`, if it is right." if renamed else "")
            )

    def obtainable(self, names):
        """The packages that are installed, or available from a repository of this host."""
        out = self.run(["apt-cache", "policy", *names], "looking which packages there are") if names else ""
        found = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (?!\(none\))", out, re.MULTILINE)
        return [name for name in names if name in found]

    def _simulate(self, names):
        return self.run([*self.BASE, *self.EXACTLY, "--simulate", "install", *names], "planning the installation")

    def would_add(self, names):
        try:
            out = self._simulate(names)
        except HostError:
            self.update()
            out = self._simulate(names)
        # apt prints an upgrade as `Inst name [old version] (...)`, and a new package without the brackets.
        return sorted(re.findall(r"^Inst (\S+) \(", out, re.MULTILINE))

    def fetched(self, names, new):
        """Download the packages; returns the archive of each new one that is a local file."""
        self.run([*self.BASE, *self.EXACTLY, "--download-only", "install", *names], "fetching " + ", ".join(names))
        shown = self.run(["apt-config", "shell", "FOLDER", "Dir::Cache::archives/d"], "reading apt's configuration")
        folder = shown.partition("'")[2].partition("'")[0]
        found = {}
        for name in new:
            archives = glob.glob(os.path.join(glob.escape(folder), f"{name.partition(':')[0]}_*.deb"))
            if archives:
                found[name] = max(archives, key=os.path.getmtime)
        return found

    def contents_of(self, archive):
        """The paths of the files in a package archive, and which of them are configuration files."""
        out = self.run(["dpkg-deb", "--contents", archive], f"reading {archive}")
        paths = [line.split(None, 5)[5] for line in out.splitlines() if not line.startswith("d")]
        paths = [path.split(" -> ")[0].split(" link to ")[0][1:] for path in paths]
        rc, shown, _ = self.module.run_command(["dpkg-deb", "--info", archive, "conffiles"])
        return paths, set(shown.split()) if rc == 0 else set()

    def is_packaged(self, path):
        """Whether a package owns the path; /lib and /usr/lib are one folder, and dpkg may know either spelling."""
        spellings = {path, path.removeprefix("/usr"), "/usr" + path, os.path.realpath(path)}
        return any(self.module.run_command(["dpkg-query", "--search", one])[0] == 0 for one in spellings)

    def paths_of(self, name):
        """Files and folders that dpkg lists for a package, configuration files included."""
        rc, out, _ = self.module.run_command(["dpkg-query", "--listfiles", name])
        return [line for line in out.splitlines() if line.startswith("/") and line != "/."] if rc == 0 else []

    def digests_of(self, name):
        """The md5 of each packaged file by path, configuration files included."""
        _, out, _ = self.module.run_command(["dpkg-query", "--show", "--showformat=${Conffiles}\n", name])
        found = {fields[0]: fields[1] for fields in (line.split() for line in out.splitlines()) if len(fields) >= 2}
        for listing in glob.glob(f"/var/lib/dpkg/info/{glob.escape(name)}*.md5sums"):
            with open(listing, encoding="utf-8") as handle:
                found.update({"/" + path.strip(): md5 for md5, path in (line.split(None, 1) for line in handle)})
        return found

    def install(self, names):
        self.run([*self.BASE, "install", *names], "installing " + ", ".join(names))

    def version(self, name):
        """The installed version; None if it is not installed."""
        shown = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name]
        _, out, _ = self.module.run_command(shown)
        status, _, version = out.partition(" ")
        return version if status == "installed" else None

    def about_file(self, path):
        """Name and version in a package file."""
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

    def removable(self, names):
        """The packages that can be removed without removing any others."""
        removable = set(names)
        if removable and self._would_remove(removable) - set(names):
            removable = {name for name in names if not self._would_remove({name}) - set(names)}
        return sorted(removable)

    def take_away(self, names, purge, through=()):
        """Remove packages that are `removable`, through a wrapper command if one is given."""
        if names:
            verb = "purge" if purge else "remove"
            self.run([*through, *self.BASE, verb, *names], "removing " + ", ".join(names))
