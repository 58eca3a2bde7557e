"""Runs a real Prometheus, or whatever else says at /-/ready that it is."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.box import until


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and kill it if it has not after 20 s."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def service(command: Sequence[str], url: str, log: Path, seconds: float = 60) -> Iterator[str]:
    """A program that listens at `url`, from ready to ended; yields the URL. What it says is in `log`."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def ready() -> bool | None:
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    try:
        until(f"{url} to be ready ({log})", seconds, ready)
        yield url
    finally:
        end(process)


@contextmanager
def prometheus(binaries: Path, config: Path, data: Path, url: str, log: Path, *flags: str) -> Iterator[str]:
    """A Prometheus with this configuration on the data in `data`; yields its base URL."""
    command = [
        str(binaries / "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={url.removeprefix('http://')}",
        *flags,
    ]
    with service(command, url, log):
        yield url
