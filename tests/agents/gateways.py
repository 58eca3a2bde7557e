"""A gateway as users run it, in front of the model server, and clients whose base URL is the gateway's."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.agents.hooking import HYPERTOOL
from tests.agents.real_clients import Client, set_up
from tests.support.fake_models import FakeModels

#: Agent to the path of its base URL. Cline and opencode do not tell who they are, so their URL does.
PATHS = {
    "claude-code": "anthropic",
    "codex": "openai",
    "copilot-cli": "openai",
    "gemini-cli": "gemini",
    "cline": "a/cline/openai",
    "opencode": "a/opencode/openai",
}


class Gateway:
    """A `hypertool gateway` process; `end` stops it, so that everything is counted."""

    def __init__(self, models: FakeModels) -> None:
        to = {f"HYPERTOOL_GATEWAY_{name}": models.url for name in ("ANTHROPIC", "OPENAI", "GEMINI")}
        self.process = subprocess.Popen(
            [str(HYPERTOOL), "gateway"],
            env={**os.environ, **to, "HYPERTOOL_GATEWAY_LISTEN": "127.0.0.1:0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("gateway on "), self.process.communicate(timeout=30)
        self.url = line.split()[2].rstrip("/")

    def end(self) -> None:
        """SIGTERM, and wait: it ends well and has nothing to say."""
        self.process.send_signal(signal.SIGTERM)
        assert (self.process.wait(60), self.process.communicate()[1]) == (0, "")

    def kill(self) -> None:
        """End it if it is still there."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=30)

    def base(self, agent: str, persona: str = "backend-engineer") -> str:
        """The base URL of an agent whose sessions begin with that persona."""
        return f"{self.url}/p/{persona}/{PATHS[agent]}"


def through(client: Client, url: str, project: Path, models: FakeModels, programs: Path) -> Client:
    """The client with the gateway's base URL in place of the model server's."""
    return set_up(client._replace(environment=lambda _: client.environment(url)), models, programs, project, url)
