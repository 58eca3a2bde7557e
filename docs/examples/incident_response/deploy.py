"""Safe deploy: verify the candidate beside the service, swap, verify the service, and go back where that fails."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from monitoring import until

START_SECONDS = 20
ORDERS, NEEDED = 20, 19


class DeployFailed(Exception):
    """The release is not running; the one before it is."""


class RollbackFailed(Exception):
    """Neither the release nor the one before it is certain to run: a person is needed."""


class Deployment:
    """The service in `root`: releases in `releases/`, the running one behind the link `current`.

    `restart` is the command that restarts it; `port` is where it listens.
    """

    def __init__(self, root: Path, port: int, restart: Sequence[str]) -> None:
        self._root, self._port, self._restart = root, port, restart

    @property
    def running(self) -> str:
        """The release that `current` names."""
        return (self._root / "current").resolve().name

    def has(self, release: str) -> bool:
        """Whether there is such a release."""
        named = re.fullmatch(r"\w[\w.-]*", release) is not None
        return named and (self._root / "releases" / release / "orders.py").is_file()

    def deploy(self, release: str) -> str:
        """Deploy; what was verified. DeployFailed says why not, and what runs instead; see also RollbackFailed."""
        if not self.has(release):
            raise DeployFailed(f"there is no release {release!r} in {self._root / 'releases'}")
        self._verify_candidate(release)
        before = self.running
        try:
            self._swap(release)
            return f"{self._orders()} of {ORDERS} orders succeeded"
        except (DeployFailed, OSError, subprocess.SubprocessError) as error:
            try:
                self._swap(before)
            except (OSError, subprocess.SubprocessError) as second:
                raise RollbackFailed(f"{release}: {error}; rollback to {before}: {second}") from error
            raise DeployFailed(f"{release} rolled back to {self.running}: {error}") from error

    def _verify_candidate(self, release: str) -> None:
        """It starts beside the service, on a port of its own, and says which release it is."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with candidate(self._root, release, port):
            try:
                self._healthy(release, port)
            except TimeoutError as error:
                raise DeployFailed(f"{release} does not start: {error}; {self.running} was not touched") from error

    def _swap(self, release: str) -> None:
        """Atomic: whenever it is killed, `current` names one release or the other."""
        beside = self._root / "current.new"
        beside.unlink(missing_ok=True)
        beside.symlink_to(Path("releases") / release)
        os.replace(beside, self._root / "current")
        subprocess.run(self._restart, check=True, timeout=60, stdin=subprocess.DEVNULL)
        self._healthy(release, self._port)

    def _healthy(self, release: str, port: int) -> None:
        def check() -> bool | None:
            status, text = get(f"http://127.0.0.1:{port}/healthz")
            return True if status == 200 and json.loads(text)["version"] == release else None

        until(f"release {release} on port {port}", START_SECONDS, check)

    def _orders(self) -> int:
        succeeded = sum(get(f"http://127.0.0.1:{self._port}/order")[0] == 200 for _ in range(ORDERS))
        if succeeded < NEEDED:
            raise DeployFailed(f"{succeeded} of {ORDERS} orders succeeded, at least {NEEDED} must")
        return succeeded


@contextlib.contextmanager
def candidate(root: Path, release: str, port: int) -> Iterator[None]:
    """The release as a process of its own, for as long as it is looked at."""
    command = [sys.executable, "-B", str(root / "shop.py"), "--root", str(root), "--release", release]
    process = subprocess.Popen([*command, "--port", str(port)], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def get(url: str) -> tuple[int, str]:
    """Status and text; status 0 if nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
