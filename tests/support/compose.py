"""Docker Compose as tests use it: v2 where it is installed, else Debian 13's, in a project of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.box import Box
from tests.support.debian_binaries import unpacked

PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"


def compose_folder(directory: Path) -> Path:
    """A Docker configuration folder whose `docker compose` works; the machine's own is not touched."""
    folder = directory / "docker-config"
    plugins = folder / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    link = plugins / "docker-compose"
    if not link.exists():
        link.symlink_to(unpacked("trixie", ("docker-compose",)) / PLUGIN)
    return folder


def compose_environment(box: Box) -> dict[str, str]:
    """The environment in which `docker compose` works on the engine of these hosts, which is started if need be."""
    box.run("engine", "up")
    client = box.run("engine", "command").stdout.split()
    environment = {**os.environ, "DOCKER_CONFIG": str(compose_folder(box.directory))}
    if "--host" in client:
        environment["DOCKER_HOST"] = client[client.index("--host") + 1]
    return environment


@dataclass
class Stack:
    """One profile of compose/compose.yaml under a project name of its own."""

    folder: Path
    environment: Mapping[str, str]
    profile: str
    project: str = "hypertool-test"
    variables: dict[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        command = ["docker", "compose", "--project-name", self.project, "--profile", self.profile, *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.compose("up", "--detach", "--no-build", *arguments)

    def down(self) -> None:
        done = self.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
        assert done.returncode == 0, done.stderr

    def logs(self, *services: str) -> str:
        return self.compose("logs", "--no-color", "--tail", "50", *services).stdout

    def docker(self, *arguments: str) -> str:
        return subprocess.run(
            ["docker", *arguments], env=dict(self.environment), capture_output=True, text=True, check=True, timeout=120
        ).stdout

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def inspect(self, service: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.docker("inspect", self.container(service)))[0]
        return shown

    def config(self) -> dict[str, Any]:
        """The profile as Compose resolves it."""
        done = self.compose("config", "--format", "json")
        assert done.returncode == 0, done.stderr
        resolved: dict[str, Any] = json.loads(done.stdout)
        return resolved
