"""Starts a real Prometheus on given data or targets, and stops it again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import service
from tests.support.box import free_port as free_port
from tests.support.debian_binaries import BinariesUnavailable, prometheus_binaries


def binaries(release: str) -> Path:
    """Where Prometheus and promtool of a Debian release are; skips where they cannot be had."""
    try:
        return prometheus_binaries(release)
    except BinariesUnavailable as reason:
        pytest.skip(f"no Prometheus of {release}: {reason}")


@contextmanager
def prometheus(binaries: Path, directory: Path, config: str = "global: {}\n") -> Iterator[str]:
    """A Prometheus that keeps its data in `directory`/data; yields its base URL."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "prometheus.yml"
    file.write_text(config, encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    with service.prometheus(
        binaries, file, directory / "data", url, directory / "prometheus.log", "--storage.tsdb.retention.time=10y"
    ):
        yield url


def backfill(binaries: Path, samples: Path, data: Path) -> None:
    """Turn samples in OpenMetrics text into blocks in `data`."""
    # Without long blocks promtool reads the whole file again for every two hours of data.
    command = ["tsdb", "create-blocks-from", "--max-block-duration=720h", "openmetrics", str(samples), str(data)]
    result = subprocess.run([str(binaries / "promtool"), *command], capture_output=True, text=True, check=False)
    if result.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise RuntimeError(f"promtool could not backfill {samples}:\n{result.stderr[-2000:]}")
