#!/usr/bin/env python3
"""Builds, on the controller, the archive of wheels that a host with a given Python and architecture installs.

The archive holds this repository's own wheel, every pinned dependency and a requirements.txt with hashes. It is cached
by the digest of what goes in. The source tree is only read.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FORMAT = "2"  # Part of every digest: raise it when the archive's layout changes.
KEEP = 8
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "instrumentation", "grafana/dashboards", "prometheus/rules")
# Newest first; glibc 2.28 is older than that of every supported host.
MANYLINUX = (
    "manylinux_2_28",
    "manylinux_2_27",
    "manylinux_2_24",
    "manylinux_2_17",
    "manylinux2014",
    "manylinux_2_12",
    "manylinux2010",
    "manylinux_2_5",
    "manylinux1",
)


def fail(text: str) -> None:
    raise SystemExit(f"wheelhouse: {text}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def source_files(root: Path) -> list[Path]:
    files: list[Path] = []
    for name in SOURCES:
        path = root / name
        if path.is_file():
            files.append(path)
        elif path.is_dir():
            files += [p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".pyc"]
    return sorted(files)


def digest(*parts: bytes) -> str:
    total = hashlib.sha256(FORMAT.encode())
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def source_digest(root: Path) -> str:
    parts: list[bytes] = []
    for path in source_files(root):
        parts += [str(path.relative_to(root)).encode(), path.read_bytes()]
    return digest(*parts)


def marker_environment(python: str, arch: str) -> dict[str, str]:
    """The target's values, because pip would evaluate markers for the interpreter that it runs on."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": arch,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def pinned_for(requirements: str, python: str, arch: str) -> str:
    """The requirements that hold on the target, without their markers."""
    from packaging.markers import Marker

    environment, kept = marker_environment(python, arch), []
    for line in re.sub(r"\\\n", " ", requirements).splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        if "--hash=" not in line:
            fail(f"{line.split()[0]!r} is not pinned by hash")
        head, _, hashes = line.partition("--hash=")
        name, _, marker = head.partition(";")
        if not marker.strip() or Marker(marker.strip()).evaluate(environment):
            kept.append(f"{name.strip()} --hash={hashes.strip()}")
    return "\n".join(kept) + "\n"


def run(argv: list[str], doing: str, cwd: Path | None = None) -> None:
    say(f"{doing} ...")
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        hint = " Does the controller reach its Python package index?" if "download" in argv else ""
        fail(f"{doing} failed (exit {done.returncode}).{hint} Last lines:\n{tail}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One builder at a time: many hosts of one play ask for the same archive at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def dependencies(cache: Path, requirements: str, python: str, arch: str) -> Path:
    pinned = pinned_for(requirements, python, arch)
    folder = cache / "wheels" / digest(pinned.encode(), python.encode(), arch.encode())[:24]
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        wanted = Path(scratch, "requirements.txt")
        wanted.write_text(pinned)
        wheels = Path(scratch, "wheels")
        short = python.replace(".", "")
        platforms = [item for tag in MANYLINUX for item in ("--platform", f"{tag}_{arch}")]
        run(
            [
                sys.executable,
                "-m",
                "pip",
                "--disable-pip-version-check",
                "download",
                "--quiet",
                "--no-deps",
                "--require-hashes",
                "--only-binary=:all:",
                "--implementation",
                "cp",
                "--python-version",
                python,
                "--abi",
                f"cp{short}",
                "--abi",
                "abi3",
                "--abi",
                "none",
                *platforms,
                "--requirement",
                str(wanted),
                "--dest",
                str(wheels),
            ],
            f"fetching the pinned dependencies for Python {python} on {arch}",
        )
        shutil.copy(wanted, wheels / "requirements.txt")
        folder.parent.mkdir(parents=True, exist_ok=True)
        wheels.replace(folder)
    return folder


def own_wheel(root: Path, scratch: Path) -> Path:
    """Build in a copy: a build writes beside the sources, and the tree may belong to somebody else or be read-only."""
    copy, out = scratch / "source", scratch / "dist"
    for path in source_files(root):
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)],
        "building this repository's wheel",
        cwd=copy,
    )
    wheels = list(out.glob("*.whl"))
    if len(wheels) != 1:
        fail(f"the build made {len(wheels)} wheels, expected one")
    return wheels[0]


def pack(wheels: Path, own: Path, archive: Path) -> None:
    name, version = own.name.split("-")[:2]
    own_line = f"{name}=={version} --hash=sha256:{hashlib.sha256(own.read_bytes()).hexdigest()}\n"
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text((wheels / "requirements.txt").read_text() + own_line)
        staged = Path(scratch, "wheelhouse.tar")
        with tarfile.open(staged, "w") as tar:
            for path in [*sorted(wheels.glob("*.whl")), own, requirements]:
                member = tarfile.TarInfo(path.name)
                member.size, member.mode = path.stat().st_size, 0o644
                with path.open("rb") as content:
                    tar.addfile(member, content)
        staged.replace(archive)


def forget_old(folder: Path) -> None:
    archives = sorted(folder.glob("*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in archives[KEEP:]:
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="top of the repository")
    parser.add_argument("--cache", type=Path, required=True, help="where wheels and archives are kept")
    parser.add_argument("--python", required=True, help="the target's Python, like 3.11")
    parser.add_argument("--arch", required=True, help="the target's architecture, like x86_64")
    arguments = parser.parse_args()
    if not re.fullmatch(r"3\.\d+", arguments.python):
        fail(f"--python {arguments.python!r}: expected a version like 3.11")
    for module in ("hatchling", "packaging", "pip"):
        if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            fail(
                f"{sys.executable} has no module {module}. "
                f"Install requirements/ansible.txt into the environment that runs Ansible."
            )
    root, cache = arguments.source.resolve(), arguments.cache
    os.umask(0o077)
    requirements = (root / "requirements" / "runtime.txt").read_text()
    key = digest(
        source_digest(root).encode(), requirements.encode(), arguments.python.encode(), arguments.arch.encode()
    )
    archive = cache / "wheelhouse" / f"{key}.tar"
    built = False
    with locked(cache / "wheelhouse" / f".lock-{arguments.python}-{arguments.arch}"):
        if not archive.is_file():
            wheels = dependencies(cache, requirements, arguments.python, arguments.arch)
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                pack(wheels, own_wheel(root, Path(scratch)), archive)
            built = True
        archive.touch()
        forget_old(archive.parent)
    print(json.dumps({"archive": str(archive), "digest": key, "built": built}))


if __name__ == "__main__":
    main()
