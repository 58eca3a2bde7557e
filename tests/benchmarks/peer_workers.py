"""The peers' environments, made once per set of pins, and the processes in which the contenders run in turns."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.debian_binaries import cache_dir
from tests.support.pinned_python import make

REPOSITORY = Path(__file__).resolve().parents[2]
WORKERS = Path(__file__).parent / "peers"


class Round(NamedTuple):
    """CPU microseconds of one call: the caller's thread, and the whole process until all was delivered."""

    caller: float
    cpu: float


def environment(name: str) -> Path:
    """The Python of requirements/peers-<name>.txt."""
    pins = REPOSITORY / "requirements" / f"peers-{name}.txt"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()[:16]
    place = cache_dir() / f"peers-{name}-{version}-{wanted}"
    if not (place / "made").exists():
        for old in cache_dir().glob(f"peers-{name}-{version}-*"):
            shutil.rmtree(old)
        done = make(place, pins, seconds=1800)
        if done.returncode:
            shutil.rmtree(place)
            raise RuntimeError(
                f"pip cannot install {pins} (it needs a package index: PIP_INDEX_URL):\n{done.stderr[-2000:]}"
            )
        (place / "made").touch()
    return place / "bin" / "python"


class Worker:
    """One contender in its own process; `round` lets it make so many calls."""

    def __init__(self, of: str, module: str, name: str, url: str, state: Path) -> None:
        self.label = f"{name}{' live' if url else ''}"
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("OTEL_", "LANGFUSE_", "HYPERTOOL_", "TRACELOOP_", "OPENLIT_"))
        }
        self._process = subprocess.Popen(
            [environment(of), WORKERS / "worker.py", module, name, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**kept, "PYTHONPATH": str(REPOSITORY / "instrumentation"), "HYPERTOOL_STATE_DIR": str(state)},
        )
        self.rounds: list[Round] = []
        if self._answer() != "ready":
            raise RuntimeError(f"{self.label} does not start: run {WORKERS / 'worker.py'} {module} {name} by hand")

    def round(self, calls: int) -> None:
        """Let it work, alone among the contenders."""
        assert self._process.stdin is not None
        print(calls, file=self._process.stdin, flush=True)
        found = json.loads(self._answer())
        self.rounds.append(Round(found["caller"] / found["calls"] * 1e6, found["cpu"] / found["calls"] * 1e6))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    @property
    def cpu(self) -> float:
        """Of the best round: what other programs do to a round only makes it longer."""
        return min(one.cpu for one in self.rounds)

    @property
    def caller(self) -> float:
        """The same."""
        return min(one.caller for one in self.rounds)

    def end(self) -> None:
        """End it; nothing of it is left to be delivered."""
        self._process.kill()
        self._process.wait()


class Receiver:
    """A real HTTP server on loopback, in a process of its own, that takes everything."""

    PROGRAM = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""

    def __enter__(self) -> str:
        self._process = subprocess.Popen([sys.executable, "-c", self.PROGRAM], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        return f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
