"""Package release with five gates: each gate is a real check on a small project, and a failed one stops the release.

`python package_release.py [--break GATE]` breaks one on purpose: version, tests, artifact, publication or installation.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from llm import ask

from hypertool import QualityGateFailed, WorkflowTracer
from hypertool.patterns import Task, sequential

GATES = ("version", "tests", "artifact", "publication", "installation")
MODULE = '__version__ = "{version}"\n\n\ndef total(prices):\n    return sum(prices)\n'
TESTS = "import shop\n\nassert shop.total([2, 3]) == {expected}\n"


def verdict(passed: bool, reason: str) -> dict[str, Any]:
    """What closes a gate: the reason is shown where it failed."""
    return {"quality_gate_passed": passed, "quality_gate_reason": "" if passed else reason}


def python(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python with `path` as the only place of its own."""
    return subprocess.run(
        [sys.executable, "-B", *arguments],
        env={"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Release:
    """The project in `folder`, its index in `folder/index`, and the five stages of its release."""

    def __init__(self, folder: Path, broken: str | None) -> None:
        self.source, self.index, self.broken = folder / "source", folder / "index", broken
        for made in (self.source, self.index):
            made.mkdir(parents=True)
        (self.source / "shop.py").write_text(MODULE.format(version="1.2.0"))
        (self.source / "test_shop.py").write_text(TESTS.format(expected=6 if broken == "tests" else 5))
        self.artifact = folder / "shop.zip"
        self.version = "1.2.0"

    def version_bump(self, _: object) -> dict[str, Any]:
        """Gate 1: the new version is higher than the one before, and the module says it."""
        ask("propose the next version and its changelog", 850)
        before, self.version = self.version, "1.2.0" if self.broken == "version" else "1.3.0"
        module = self.source / "shop.py"
        module.write_text(re.sub('".*"', f'"{self.version}"', module.read_text(), count=1))
        higher = [int(part) for part in self.version.split(".")] > [int(part) for part in before.split(".")]
        return verdict(higher, f"{self.version} is not higher than {before}")

    def quality_validation(self, _: object) -> dict[str, Any]:
        """Gate 2: the tests pass."""
        ask("which tests does this change need?", 650)
        done = python(str(self.source / "test_shop.py"), path=self.source)
        return verdict(done.returncode == 0, (done.stderr.splitlines() or ["no output"])[-1])

    def build_artifact(self, _: object) -> dict[str, Any]:
        """Gate 3: the artifact holds the module, and not the tests."""
        ask("describe the artifact", 200)
        with zipfile.ZipFile(self.artifact, "w") as archive:
            for name in ("shop.py", *(["test_shop.py"] if self.broken == "artifact" else [])):
                archive.write(self.source / name, name)
            names = archive.namelist()
        return verdict(names == ["shop.py"], f"the artifact holds {names}")

    def publish_deploy(self, _: object) -> dict[str, Any]:
        """Gate 4: what the index has is what was built, byte for byte."""
        ask("write the announcement", 550)
        published = self.index / f"shop-{self.version}.zip"
        published.write_bytes(self.artifact.read_bytes()[: 10 if self.broken == "publication" else None])
        same = hashlib.sha256(published.read_bytes()).digest() == hashlib.sha256(self.artifact.read_bytes()).digest()
        return verdict(same, f"{published.name} differs from what was built")

    def verify_installation(self, _: object) -> dict[str, Any]:
        """Gate 5: a user who installs it from the index gets this version, and it works."""
        ask("what would a user try first?", 300)
        installed = self.index / f"shop-{'1.2.0' if self.broken == 'installation' else self.version}.zip"
        done = python("-c", "import shop; print(shop.__version__, shop.total([2, 3]))", path=installed)
        return verdict(done.stdout.split() == [self.version, "5"], f"the installed package says {done.stdout!r}")


def release(folder: Path, broken: str | None = None) -> str:
    """Run the release in an empty folder; the version, or why it was stopped."""
    steps = Release(folder, broken)
    stages = [
        Task("version_bump", "backend-engineer", steps.version_bump),
        Task("quality_validation", "testing-specialist", steps.quality_validation),
        Task("build_artifact", "backend-engineer", steps.build_artifact),
        Task("publish_deploy", "devops-engineer", steps.publish_deploy),
        Task("verify_installation", "testing-specialist", steps.verify_installation),
    ]
    with WorkflowTracer("package_release", {"chatmode": "package-release"}) as workflow:
        try:
            sequential(workflow, stages)
        except QualityGateFailed as failed:
            return f"not released: {failed}"
    return f"released {steps.version}"


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--break", dest="broken", choices=GATES)
    with tempfile.TemporaryDirectory() as made:
        result = release(Path(made) / "release", arguments.parse_args().broken)
    print(result)
    sys.exit(not result.startswith("released"))
