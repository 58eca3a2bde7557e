"""Starts a real Prometheus on given data or targets, and stops it again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.debian_binaries import BinariesUnavailable, prometheus_binaries


def binaries(release: str) -> Path:
    """Where Prometheus and promtool of a Debian release are; skips where they cannot be had."""
    try:
        return prometheus_binaries(release)
    except BinariesUnavailable as reason:
        pytest.skip(f"no Prometheus of {release}: {reason}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prometheus(binaries: Path, directory: Path, config: str = "global: {}\n") -> Iterator[str]:
    """A Prometheus that keeps its data in `directory`/data; yields its base URL."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "prometheus.yml").write_text(config, encoding="utf-8")
    port, log = free_port(), directory / "prometheus.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [
                str(binaries / "prometheus"),
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                "--storage.tsdb.retention.time=10y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Prometheus ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError(f"{url}/-/ready did not answer within {seconds:g} s:\n{log.read_text()[-2000:]}")


def backfill(binaries: Path, samples: Path, data: Path) -> None:
    """Turn samples in OpenMetrics text into blocks in `data`."""
    # Without long blocks promtool reads the whole file again for every two hours of data.
    command = ["tsdb", "create-blocks-from", "--max-block-duration=720h", "openmetrics", str(samples), str(data)]
    result = subprocess.run([str(binaries / "promtool"), *command], capture_output=True, text=True, check=False)
    if result.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise RuntimeError(f"promtool could not backfill {samples}:\n{result.stderr[-2000:]}")
