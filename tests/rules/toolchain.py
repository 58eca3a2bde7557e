"""The real Prometheus and Alertmanager programs of several Debian releases, unpacked into the cache.

The rules have to hold on the oldest and on the newest version a host can have, so the packages of three
releases are downloaded (never installed) from the mirror that this machine's own apt already uses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Release -> packages that hold prometheus, promtool, alertmanager and amtool there.
RELEASES: dict[str, tuple[str, ...]] = {
    "bookworm": ("prometheus", "prometheus-alertmanager"),
    "trixie": ("prometheus", "promtool", "prometheus-alertmanager"),
    "forky": ("prometheus", "promtool", "prometheus-alertmanager"),
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class ToolsMissing(RuntimeError):
    """The programs cannot be had on this machine; the message says what to do about it."""


@dataclass(frozen=True)
class Tools:
    """Paths of the programs of one Debian release."""

    release: str
    root: Path

    @property
    def prometheus(self) -> Path:
        return self.root / "usr/bin/prometheus"

    @property
    def promtool(self) -> Path:
        return self.root / "usr/bin/promtool"

    @property
    def alertmanager(self) -> Path:
        return self.root / "usr/bin/prometheus-alertmanager"

    @property
    def amtool(self) -> Path:
        return self.root / "usr/bin/amtool"

    def missing(self) -> list[Path]:
        """Programs that should be there and are not."""
        programs = (self.prometheus, self.promtool, self.alertmanager, self.amtool)
        return [path for path in programs if not path.exists()]


def cache_dir() -> Path:
    """Where every part of this project keeps what can be made again."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hypertool-observability"
    return Path(os.environ.get("HYPERTOOL_CACHE_DIR") or default)


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise ToolsMissing(f"{' '.join(command[:2])} failed ({done.returncode}): {done.stderr.strip()[-800:]}")
    return done.stdout


def _mirror() -> str:
    """The Debian mirror that this machine's apt is configured with."""
    listing = _run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages"],
        Path("/"),
    )
    for line in listing.splitlines():
        parts = line.split()
        if parts[1:] == ["Debian", "Debian"]:
            return parts[0]
    raise ToolsMissing("apt knows no Debian mirror here; run `apt-get update` on a Debian host first")


def _download(release: str, into: Path) -> list[Path]:
    """Download the packages of one release with an apt configuration of its own."""
    state = into / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (state / "sources.list").write_text(f"deb {signed}{_mirror()} {release} main\n")
    options = [
        f"Dir::Etc::sourcelist={state}/sources.list",
        "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={state}/lists",
        f"Dir::State::status={state}/status",
        f"Dir::Cache={state}",
        "APT::Get::List-Cleanup=0",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
    ]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    _run([*apt, "update"], into)
    _run([*apt, "download", *RELEASES[release]], into)
    return sorted(into.glob("*.deb"))


def tools(release: str) -> Tools:
    """The programs of one Debian release; downloaded once, then taken from the cache."""
    ready = Tools(release, cache_dir() / "rules-tools" / release)
    if ready.root.is_dir() and not ready.missing():
        return ready
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ToolsMissing(f"{program} is not on this machine: the rule tests need a Debian-like host")
    work = ready.root.with_name(f".{release}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        for package in _download(release, work):
            _run(["dpkg-deb", "-x", str(package), str(work / "root")], work)
        fresh = Tools(release, work / "root")
        if fresh.missing():
            raise ToolsMissing(f"{release}: {fresh.missing()} not in packages {RELEASES[release]}")
        shutil.rmtree(ready.root, ignore_errors=True)
        fresh.root.rename(ready.root)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ready
