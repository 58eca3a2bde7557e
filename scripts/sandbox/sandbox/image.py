"""The base image of a host: a small real Debian with systemd, made from the distribution's own packages."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from . import packages, sources
from .engine import Engine
from .progress import SandboxError, Step, say
from .state import LABEL, cache_dir, delete_tree, load, locked, make_private_dir, save, state_dir

REPOSITORY = "hypertool-sandbox"
DEFAULT_RELEASE = "bookworm"
STALE_DAYS = 30
PR_SET_PDEATHSIG = 1
# What a newly installed server has and Ansible expects; python3-minimal is not enough.
CONTENT = ["systemd", "systemd-sysv", "dbus", "procps", "iproute2", "openssh-server", "ca-certificates"]
CONTENT += ["python3", "python3-apt", "python3-venv", "nftables"]
# Downloaded, not installed, so that the first play on a host only has to install. From Debian 13
# on promtool is a package of its own.
DOWNLOADED = {
    "bookworm": "prometheus prometheus-alertmanager prometheus-node-exporter",
    "trixie": "prometheus promtool prometheus-alertmanager prometheus-node-exporter",
}
CUSTOMIZE = """
set -eu
root="$1"
# Ansible comes in through `docker exec sshd -i`; nothing may listen beyond the host's loopback.
chroot "$root" systemctl disable --quiet ssh.service
echo 'd /run/sshd 0755 root root -' > "$root/etc/tmpfiles.d/sshd.conf"
# Timers that take apt's lock at any time would disturb a host that lives for minutes.
chroot "$root" systemctl disable --quiet apt-daily.timer apt-daily-upgrade.timer
# Translated package descriptions are 6 MB per update and are not needed here.
echo 'Acquire::Languages "none";' > "$root/etc/apt/apt.conf.d/90languages"
if [ -s "$EXTRA/apt.conf" ]; then cp "$EXTRA/apt.conf" "$root/etc/apt/apt.conf.d/90machine"; fi
if [ -d "$EXTRA/certificates" ]; then
    cp "$EXTRA"/certificates/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates
fi
rm -f "$root"/var/cache/apt/archives/*.deb
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --yes --no-install-recommends --download-only install $DOWNLOADED
"""


def _recipe(release: str) -> str:
    trusted = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources.certificates()]
    parts = [release, DOWNLOADED[release], CUSTOMIZE, sources.apt_configuration()]
    parts += [*_build_options(), *sources.lines(release), *trusted]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _build_options() -> list[str]:
    return [
        "--variant=minbase",
        f"--include={','.join(CONTENT)}",
        # A throwaway host needs neither an fsync after each file nor manuals.
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale", "info")),
        "--skip=cleanup/apt",
    ]


def name(release: str) -> str:
    if release not in DOWNLOADED:
        raise SandboxError(f"unknown release `{release}`; known: {', '.join(DOWNLOADED)}")
    return f"{REPOSITORY}:{release}-{_recipe(release)}"


def ensure(engine: Engine, release: str) -> str:
    """Return the name of the image in the engine; builds and loads it if necessary."""
    image = name(release)
    if engine.run("images", "--quiet", image).strip():
        return image
    tarball = ensure_tarball(release)
    with locked(cache_dir() / f"import-{release}.lock", f"loading the image of {release}"):
        if engine.run("images", "--quiet", image).strip():
            return image
        with Step(f"Loading the base image of Debian {release} into the engine"):
            engine.run("import", f"--change=LABEL {LABEL}={state_dir()}", str(tarball), image, seconds=300)
    return image


def ensure_tarball(release: str) -> Path:
    """Return the cached root file system of a release, built if it is missing or old."""
    tarball = cache_dir() / f"{name(release).replace(':', '-')}.tar"
    with locked(cache_dir() / f"build-{release}.lock", f"building the base image of {release}"):
        _sweep(release)
        age = (time.time() - tarball.stat().st_mtime) / 86400 if tarball.exists() else None
        if age is not None and age < STALE_DAYS:
            return tarball
        try:
            _build(release, tarball)
        except SandboxError as error:
            if age is None:
                raise
            say(f"keeping the base image that is {age:.0f} days old: {error}")
        for other in cache_dir().glob(f"{REPOSITORY}-{release}-*.tar"):
            if other != tarball:
                other.unlink()
    return tarball


def _build_record(release: str) -> Path:
    return cache_dir() / f"build-{release}.json"


def _sweep(release: str) -> None:
    """Remove what an interrupted build left; the caller holds the lock, so no build is running."""
    record = load(_build_record(release))
    if record:
        say(f"an earlier build of the base image of {release} was interrupted; starting over")
        delete_tree(Path(record["work"]))
        Path(record["partial"]).unlink(missing_ok=True)
        _build_record(release).unlink()


def _workplace() -> Path:
    """Build in memory if there is enough: unpacking thousands of files is twice as fast there."""
    memory = Path("/dev/shm")
    needed = 2 << 30
    if memory.is_dir() and os.access(memory, os.W_OK):
        facts = os.statvfs(memory)
        forbidden = os.ST_NOEXEC | os.ST_NODEV | os.ST_RDONLY
        roomy = facts.f_bavail * facts.f_frsize > needed and _free_memory() > 2 * needed
        if roomy and not facts.f_flag & forbidden:
            return memory
    facts = os.statvfs(make_private_dir(cache_dir()))
    if facts.f_bavail * facts.f_frsize < needed:
        raise SandboxError(f"a base image needs 2 GiB free in {cache_dir()} (HYPERTOOL_CACHE_DIR moves it)")
    return cache_dir()


def _free_memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _build(release: str, tarball: Path) -> None:
    _install_builder()
    make_private_dir(cache_dir())
    work = Path(tempfile.mkdtemp(prefix="hypertool-sandbox-", dir=_workplace()))
    work.chmod(0o755)
    partial = tarball.with_suffix(".partial")
    save(_build_record(release), {"work": str(work), "partial": str(partial)})
    try:
        with Step(f"Building the base image of Debian {release} (once; cached in {cache_dir()})") as step:
            _bootstrap(release, work, partial, step)
            with open(partial, "rb") as handle:
                os.fsync(handle.fileno())
            partial.replace(tarball)
    finally:
        partial.unlink(missing_ok=True)
        delete_tree(work)
        _build_record(release).unlink(missing_ok=True)


def _install_builder() -> None:
    missing = [] if shutil.which("mmdebstrap") else ["mmdebstrap"]
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        missing.append("debian-archive-keyring")
    if missing:
        title = f"Installing {' '.join(missing)}"
        with locked(state_dir() / "packages.lock", "installing packages"), Step(title) as step:
            packages.install(missing, step)


def _bootstrap(release: str, work: Path, partial: Path, step: Step) -> None:
    extra = work / "extra"
    extra.mkdir()
    (extra / "apt.conf").write_text(sources.apt_configuration(), encoding="utf-8")
    if sources.certificates():
        (extra / "certificates").mkdir()
        for path in sources.certificates():
            shutil.copy(path, extra / "certificates")
    hook = extra / "customize"
    hook.write_text(CUSTOMIZE, encoding="utf-8")
    customize = f'--customize-hook=sh {shlex.quote(str(hook))} "$1"'
    command = ["mmdebstrap", "--format=tar", *_build_options(), customize, release, str(partial)]
    process = subprocess.Popen(
        [*_enclosure(), *command, *sources.lines(release)],
        preexec_fn=_die_with_parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(work), "EXTRA": str(extra), "DOWNLOADED": DOWNLOADED[release]},
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("I: "):
                step.detail("customizing it" if "--customize-hook" in line else line[3:].strip(" .\n"))
        process.wait()
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise SandboxError("mmdebstrap could not build the base image. Its output:\n" + "\n".join(lines[-15:]))


def _enclosure() -> list[str]:
    """Namespaces that end with their first process, so that no mount and no process outlives the build."""
    if os.geteuid() != 0:
        return []
    return ["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def purge(engine: Engine | None) -> None:
    """Delete every image and tarball."""
    if engine:
        images = engine.run("images", "--quiet", "--filter", f"label={LABEL}={state_dir()}").split()
        if images:
            engine.run("image", "rm", "--force", *sorted(set(images)))
    for release in DOWNLOADED:
        with locked(cache_dir() / f"build-{release}.lock", f"building the base image of {release}"):
            _sweep(release)
    delete_tree(cache_dir())
