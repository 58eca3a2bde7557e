"""The names that programs import, and what importing them costs and touches."""

from __future__ import annotations

from pathlib import Path

import pytest

import hypertool
from tests.support.hypertool_host import Host

LATE = (
    "prometheus_client",
    "opentelemetry",
    "asyncio",
    "concurrent.futures",
    "http",
    "wsgiref",
    "uuid",
    "difflib",
    "dataclasses",
    "argparse",
)


@pytest.mark.parametrize("name", hypertool.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(hypertool, name) is not None
    assert name in dir(hypertool)


def test_unknown_name_is_an_attribute_error() -> None:
    """An unknown name on the package is an AttributeError."""
    with pytest.raises(AttributeError, match="no_such_name"):
        hypertool.no_such_name  # noqa: B018


def test_recording_loads_nothing_slow(tmp_path: Path) -> None:
    """Recording imports neither the Prometheus client nor OpenTelemetry nor anything slow."""
    host = Host(tmp_path)
    found = host.json(f"""
        import json, sys
        from hypertool import get_persona_metrics
        metrics = get_persona_metrics()
        metrics.record_token_usage("backend", "default", "simulated", 5)
        with metrics.track_stage("package_release", "version_bump", "backend"):
            pass
        metrics.flush()
        print(json.dumps([name for name in {LATE!r} if name in sys.modules]))
    """)
    assert found == []


def test_import_has_no_side_effects(tmp_path: Path) -> None:
    """Importing starts no thread, opens no file and sets no signal handler."""
    host = Host(tmp_path)
    found = host.json("""
        import json, os, signal, sys, threading
        before = (threading.active_count(), sorted(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGTERM))
        import hypertool
        hypertool.get_persona_metrics(), hypertool.PersonaMetricsCollector, hypertool.WorkflowTracer
        after = (threading.active_count(), sorted(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGTERM))
        print(json.dumps(before == after))
    """)
    assert found is True
    assert not host.state.exists()
