"""The stand-in for Grafana Cloud, one for a module and whole again before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cloud import CloudStandIn, cloud_stand_in
from tests.support.debian_binaries import BinariesUnavailable


@pytest.fixture(scope="module")
def shared_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudStandIn]:
    try:
        with cloud_stand_in(tmp_path_factory.mktemp("cloud")) as cloud:
            yield cloud
    except BinariesUnavailable as reason:
        pytest.skip(f"no Prometheus for the cloud stand-in: {reason}")


@pytest.fixture
def cloud(shared_cloud: CloudStandIn) -> Iterator[CloudStandIn]:
    tokens, scopes = set(shared_cloud.tokens), dict(shared_cloud.scopes)
    yield shared_cloud
    shared_cloud.fault("all", None)
    shared_cloud.tokens, shared_cloud.scopes = tokens, scopes
