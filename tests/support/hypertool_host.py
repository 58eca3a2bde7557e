"""A pretend host for one test: its own state directory, home and environment; programs run as real processes."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypertool.store.directory import StateDirectory
from hypertool.store.store import HostState, Store
from tests.support.box import until

ROOT = Path(__file__).resolve().parents[2]
_OURS = ("HYPERTOOL_", "OTEL_", "LANGFUSE_", "XDG_", "TRACEPARENT", "TRACESTATE", "NOTIFY_SOCKET")
_CLI = "import sys; from hypertool.cli import {main}; sys.exit({main}())"


class Host:
    """`state` is the store, `home` the user's home, `work` a workspace to run in."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.home = root / "home"
        self.work = root / "work"
        self.config = root / "hypertool.toml"
        for directory in (self.home, self.work):
            directory.mkdir(parents=True)
        self.config.write_text("")
        self.variables: dict[str, str] = {}
        self._programs = 0

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Nothing of the machine's own settings, so that a test means the same everywhere."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
        return {
            **kept,
            "HOME": str(self.home),
            "HYPERTOOL_STATE_DIR": str(self.state),
            "HYPERTOOL_CONFIG": str(self.config),
            "PYTHONPATH": f"{ROOT / 'instrumentation'}:{ROOT}",
            **self.variables,
            **(more or {}),
        }

    def python(self, code: str, seconds: float = 30, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        # A file, and not -c: stack traces then have source lines.
        self._programs += 1
        program = self.home / f"program{self._programs}.py"
        program.write_text(textwrap.dedent(code))
        return self.start([sys.executable, str(program)], seconds, more)

    def json(self, code: str, **more: str) -> Any:
        """Run a program that prints one JSON document, and must end well."""
        done = self.python(code, **more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def hypertool(
        self, *arguments: str, program: str = "main", cwd: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.start(self.command(*arguments, program=program), 30, more, cwd)

    @staticmethod
    def command(*arguments: str, program: str = "main") -> list[str]:
        """The command line as an argument list."""
        return [sys.executable, "-c", _CLI.format(main=program), *arguments]

    def start(
        self, command: Sequence[str], seconds: float, more: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command,
            env=self.environment(more),
            cwd=cwd or self.work,
            timeout=seconds,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def background(
        self, command: Sequence[str], more: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Start a command and leave it running; it is killed at the end of the tests where a test left it behind."""
        process = subprocess.Popen(command, env=self.environment(more), cwd=self.work, text=True, **options)
        atexit.register(process.kill)  # does nothing once the test has waited for it
        return process

    @property
    def store(self) -> Store:
        """The store, as this test process sees it."""
        return Store(StateDirectory(self.state))

    def read(self) -> HostState:
        """Everything counted so far."""
        return self.store.read()

    def counters(self, metric: str) -> dict[tuple[str, ...], int]:
        """Counters by the metric's short key, those above 0."""
        totals = self.store.merge().totals
        return {key[1:]: value for key, value in totals.counters.items() if key[0] == metric and value}

    def durations(self, metric: str) -> dict[tuple[str, ...], tuple[int, float]]:
        """Histograms by the metric's short key: count and sum in seconds, those that have something."""
        totals = self.store.merge().totals
        return {
            key[1:]: (sum(cells[:-1]), cells[-1] / 1e6)
            for key, cells in totals.histograms.items()
            if key[0] == metric and sum(cells[:-1])
        }


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """The first true value of `condition`. AssertionError that says what was waited for."""
    return until(what, seconds, lambda: condition() or None)
