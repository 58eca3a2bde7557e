"""A host whose programs are traced."""

from __future__ import annotations

import pytest

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver


@pytest.fixture
def traced(host: Host, receiver: OtlpReceiver) -> Host:
    """Its spans go to `receiver`."""
    host.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    return host
