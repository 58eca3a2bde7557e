"""cloud_preflight: what a service answers to a wrong id, token or path, told apart from one that is merely down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.preflight import arguments, problems, the_problem
from tests.support.ansible_module import run_module
from tests.support.cloud import WRITE, CloudStandIn
from tests.support.cloud.front import Answer, Front


def test_the_metrics_id_used_for_logs_is_recognised(cloud: CloudStandIn) -> None:
    given = arguments(cloud)
    given["logs"]["user"] = cloud.metrics_user
    found = the_problem(given)
    assert found.startswith("grafana_cloud_logs_user is 1001, which is the id for metrics")
    assert "401" in found


def test_two_ids_that_are_swapped_are_named_both(cloud: CloudStandIn) -> None:
    given = arguments(cloud)
    given["logs"]["user"], given["otlp"]["user"] = cloud.otlp_user, cloud.logs_user
    first, second = problems(given)
    assert first.startswith("grafana_cloud_logs_user is 3003")
    assert "accepts 2002, the value of grafana_cloud_otlp_user" in first
    assert second.startswith("grafana_cloud_otlp_user is 2002")
    assert "accepts 3003, the value of grafana_cloud_logs_user" in second


def test_a_wrong_id_is_told_from_a_wrong_token(cloud: CloudStandIn) -> None:
    given = arguments(cloud)
    given["otlp"]["user"] = "9999"
    found = the_problem(given)
    assert found.startswith("grafana_cloud_otlp_user is 9999")
    assert "the same token is accepted for metrics and logs" in found


def test_token_that_nobody_accepts_is_one_problem(cloud: CloudStandIn) -> None:
    """A token that all three services refuse is one problem, not three."""
    cloud.tokens.discard(cloud.token)
    found = the_problem(arguments(cloud))
    assert found.startswith("grafana_cloud_token: metrics, logs, otlp answer 401")
    assert "expired" in found


def test_a_scope_that_is_missing_is_named(cloud: CloudStandIn) -> None:
    cloud.scopes[cloud.token] = WRITE - {"logs:write"}
    found = the_problem(arguments(cloud))
    assert found.startswith("grafana_cloud_token: logs at ")
    assert "403" in found
    assert "scope logs:write" in found


def served(cloud: CloudStandIn, directory: Path, serve: Callable[[Any], Answer]) -> dict[str, Any]:
    """Settings with a server of another kind in the place of metrics; it ends with the tests."""
    certificate = cloud.authority.certificate(f"other-{directory.name}", ["127.0.0.1"])
    front = Front("other", "127.0.0.1", certificate, lambda user, token: WRITE, serve, lambda request: "metrics:write")
    return {"metrics": {"url": f"{front.url}/api/prom/push", "user": "1001"}}


def test_missing_scope_is_named_where_401_is_answered(cloud: CloudStandIn, tmp_path: Path) -> None:
    """A missing scope is named also where the gateway answers 401."""

    def refuse(_: object) -> Answer:
        return Answer.of_json({"status": "error", "error": "authentication error: invalid scope requested"}, 401)

    found = the_problem({**arguments(cloud), **served(cloud, tmp_path, refuse)})
    assert found.startswith("grafana_cloud_token: metrics at ")
    assert "scope metrics:write" in found


def test_server_that_repeats_the_token_is_not_quoted(cloud: CloudStandIn, tmp_path: Path) -> None:
    """An answer that repeats the credential is not quoted."""

    def repeat(request: Any) -> Answer:
        return Answer(418, f"{request.headers['authorization']} {cloud.token}".encode())

    found = the_problem({**arguments(cloud), **served(cloud, tmp_path, repeat)})
    assert "418 (Basic ******** ********)" in found


def test_the_page_of_a_captive_portal_is_no_success(cloud: CloudStandIn, tmp_path: Path) -> None:
    def page(_: object) -> Answer:
        return Answer(200, b"<!doctype html><title>Welcome to Hotel Wifi</title>", {"Content-Type": "text/html"})

    found = the_problem({**arguments(cloud), **served(cloud, tmp_path, page)})
    assert "a page for people" in found
    assert "captive portal" in found


def test_a_redirect_is_no_success(cloud: CloudStandIn, tmp_path: Path) -> None:
    def away(_: object) -> Answer:
        return Answer(302, b"", {"Location": "https://login.example/"})

    assert "points to https://login.example/" in the_problem({**arguments(cloud), **served(cloud, tmp_path, away)})


def test_a_path_that_takes_nothing_is_named(cloud: CloudStandIn) -> None:
    given = arguments(cloud)
    given["metrics"]["url"] = cloud.metrics_url.replace("/api/prom/push", "/api/v2/push")
    found = the_problem(given)
    assert found.startswith("grafana_cloud_metrics_url: ")
    assert "404" in found
    assert "nothing takes data at this path" in found


@pytest.mark.parametrize("kind", ["500", "503"])
def test_destination_down_is_no_bad_credential(cloud: CloudStandIn, kind: str) -> None:
    """A destination that is down is not reported as a bad credential."""
    cloud.fault("otlp", kind)
    found = the_problem(arguments(cloud))
    assert found.startswith("grafana_cloud_otlp_url: ")
    assert "the destination is down at this moment" in found


def test_a_rate_limit_is_no_refusal_of_the_credential(cloud: CloudStandIn) -> None:
    cloud.fault("metrics", "429")
    assert run_module("cloud_preflight", arguments(cloud))["services"]["metrics"] == 429
