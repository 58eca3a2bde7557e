"""Unpack Debian packages of any release into a cache, without installing them, several versions side by side.

The mirror, proxy and keys are those the machine's own apt already uses; nothing on the system is changed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: The release whose Prometheus is the oldest that is supported, and the one that is the newest.
OLDEST_RELEASE = "bookworm"
NEWEST_RELEASE = "forky"
#: What each release is expected to carry; promtool moved to a package of its own in trixie.
PROMETHEUS_PACKAGES = {
    "bookworm": ("prometheus",),
    "trixie": ("prometheus", "promtool"),
    "forky": ("prometheus", "promtool"),
}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_COMPLETE = ".complete"


class BinariesUnavailable(RuntimeError):
    """The packages cannot be had here; the message says what was tried and what would help."""


def cache_dir() -> Path:
    """The project's cache, kept between runs; `HYPERTOOL_CACHE_DIR` moves it."""
    chosen = os.environ.get("HYPERTOOL_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hypertool-observability"


def prometheus_binaries(release: str) -> Path:
    """The directory that holds `prometheus` and `promtool` of a Debian release (bookworm, trixie, forky)."""
    if release not in PROMETHEUS_PACKAGES:
        raise ValueError(f"no Prometheus known for release {release!r}; known: {', '.join(PROMETHEUS_PACKAGES)}")
    root = unpacked(release, PROMETHEUS_PACKAGES[release])
    return _bin_dir(root, ("prometheus", "promtool"))


def alertmanager_binaries(release: str) -> Path:
    """The directory that holds `prometheus-alertmanager` and `amtool` of a Debian release."""
    return _bin_dir(unpacked(release, ("prometheus-alertmanager",)), ("prometheus-alertmanager", "amtool"))


def unpacked(release: str, packages: Sequence[str]) -> Path:
    """The root of a tree into which `packages` of `release` are unpacked; downloaded once, then cached."""
    root = cache_dir() / "debian" / f"{release}-{_architecture()}" / "+".join(packages)
    # Whoever only reads needs no right to write: sudo may keep HOME, and root fills a user's cache.
    if (root / _COMPLETE).exists():
        return root
    try:
        with _locked(root.with_name(root.name + ".lock")):
            if not (root / _COMPLETE).exists():
                _fill(root, release, packages)
    except PermissionError as error:
        raise BinariesUnavailable(
            f"{error.filename} cannot be written by this user; delete it, or set HYPERTOOL_CACHE_DIR"
        ) from error
    return root


def _bin_dir(root: Path, names: Sequence[str]) -> Path:
    directory = root / "usr" / "bin"
    missing = [name for name in names if not os.access(directory / name, os.X_OK)]
    if missing:
        raise BinariesUnavailable(f"{directory} lacks {', '.join(missing)}; delete {root} to unpack it again")
    return directory


def _fill(root: Path, release: str, packages: Sequence[str]) -> None:
    mirror = _mirror()
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="apt-", dir=root.parent) as scratch:
        work = Path(scratch)
        config = _apt_config(work, mirror, release)
        _run(["apt-get", "-q", "update"], config, work, f"reading the package lists of {release}")
        _run(
            ["apt-get", "-q", "download", *packages],
            config,
            work,
            f"downloading {' '.join(packages)} of {release}",
        )
        for archive in sorted(work.glob("*.deb")):
            _run(["dpkg", "-x", str(archive), str(root)], config, work, f"unpacking {archive.name}")
    (root / _COMPLETE).write_text("\n".join(packages) + "\n", encoding="utf-8")


def _apt_config(work: Path, mirror: str, release: str) -> Path:
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (work / name).mkdir(parents=True)
    sources = work / "sources.list"
    sources.write_text(f"deb [signed-by={_KEYRING}] {mirror} {release} main\n", encoding="utf-8")
    config = work / "apt.conf"
    config.write_text(
        f'Dir::Etc::SourceList "{sources}";\n'
        f'Dir::Etc::SourceParts "{work / "parts"}";\n'
        f'Dir::State::Lists "{work / "lists"}";\n'
        f'Dir::Cache "{work / "cache"}";\n'
        # The scratch directory belongs to whoever runs the tests, which apt's own user may not enter.
        f'APT::Sandbox::User "{"root" if os.geteuid() == 0 else ""}";\n'
        'Acquire::Languages "none";\n'
        'Acquire::Retries "3";\n'
        # A list that could not be read must be an error here, not a warning followed by "no such package".
        'APT::Update::Error-Mode "any";\n',
        encoding="utf-8",
    )
    return config


def _mirror() -> str:
    """The base URL of the Debian archive that this machine's apt uses for its own release."""
    chosen = os.environ.get("HYPERTOOL_DEBIAN_MIRROR")
    if chosen:
        return chosen
    if shutil.which("apt-get") is None:
        raise BinariesUnavailable("apt-get is not here: Debian's packages can be had only where apt is")
    if not _KEYRING.exists():
        raise BinariesUnavailable(f"{_KEYRING} is missing; install the package debian-archive-keyring")
    release = _os_release()
    if release.get("ID") != "debian":
        raise BinariesUnavailable(
            f"this machine is {release.get('PRETTY_NAME', 'not Debian')}, so its apt names no Debian mirror; "
            "set HYPERTOOL_DEBIAN_MIRROR to the base URL of one"
        )
    codename = release.get("VERSION_CODENAME", "")
    listing = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE)",
            "Created-By: Packages",
            "Component: main",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listing.stdout.splitlines():
        uri, _, suite = line.partition(" ")
        if suite in (codename, "stable") and uri:
            return uri
    raise BinariesUnavailable(
        f"apt's sources name no archive for {codename} main ({listing.stderr.strip() or 'no error'}); "
        "add one, or set HYPERTOOL_DEBIAN_MIRROR"
    )


def _os_release() -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator:
            pairs[key] = value.strip('"')
    return pairs


def _architecture() -> str:
    if shutil.which("dpkg") is None:
        raise BinariesUnavailable("dpkg is not here: Debian's packages can be unpacked only where apt and dpkg are")
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def _run(command: Sequence[str], config: Path, cwd: Path, doing: str) -> None:
    environment = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BinariesUnavailable(f"{doing} failed ({' '.join(command)}):\n{result.stdout}{result.stderr}".rstrip())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
