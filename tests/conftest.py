"""Settings of a host of its own for a test: nothing of this machine's, no write outside the test's directory."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

_FOREIGN = (
    "HYPERTOOL_STATE_DIR",
    "HYPERTOOL_LISTEN",
    "HYPERTOOL_CONFIG",
    "HYPERTOOL_DISABLED",
    "HYPERTOOL_PERSONA",
    "HYPERTOOL_CHATMODE",
    "HYPERTOOL_WORKFLOW",
    "HYPERTOOL_RUN_ID",
    "HYPERTOOL_TRACES_ENDPOINT",
    "OTEL_",
    "LANGFUSE_",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "TRACEPARENT",
    "TRACESTATE",
    "NOTIFY_SOCKET",
    "PROMETHEUS_MULTIPROC",
)


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HYPERTOOL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HYPERTOOL_CONFIG", os.devnull)
    monkeypatch.setenv("HYPERTOOL_LISTEN", f"127.0.0.1:{free_port()}")


@pytest.fixture(autouse=True)
def log_of_a_command() -> Iterator[None]:
    """A command that ran in this process collects the warnings; the next test finds them in the log again.

    The same for what other libraries do to loggers in this process.
    """
    yield
    from hypertool.runtime.logs import log

    log.taken = None
    logger = logging.getLogger("hypertool")
    logger.disabled, logger.propagate = False, True
    logger.setLevel(logging.NOTSET)
    logging.disable(logging.NOTSET)
