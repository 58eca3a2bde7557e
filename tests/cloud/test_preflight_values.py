"""cloud_preflight: a value that cannot be right is refused before anything is asked, each with a message of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cloud.preflight import arguments, problems, the_problem
from tests.support.cloud import CloudStandIn


def test_all_missing_variables_are_named_at_once() -> None:
    """Without any settings, every missing variable is named in one run."""
    empty = {"url": "", "user": ""}
    found = problems({"metrics": empty, "logs": empty, "otlp": empty, "token": ""})
    named = [problem.split()[0] for problem in found]
    assert named == [
        "grafana_cloud_metrics_url",
        "grafana_cloud_metrics_user",
        "grafana_cloud_logs_url",
        "grafana_cloud_logs_user",
        "grafana_cloud_otlp_url",
        "grafana_cloud_otlp_user",
        "grafana_cloud_token",
    ]
    assert all("is empty" in problem for problem in found)
    assert "GRAFANA_CLOUD_TOKEN in the environment" in found[-1]


@pytest.mark.parametrize(
    ("service", "url", "seen"),
    [
        ("metrics", "prometheus-prod-01.grafana.net/api/prom/push", "no scheme"),
        ("metrics", "http://prometheus-prod-01.grafana.net/api/prom/push", "in the clear"),
        ("metrics", "https://prometheus-prod-01.grafana.net/api/prom", "does not end in /api/prom/push"),
        ("metrics", "https://prometheus-prod-01.grafana.net/api/prom/push/", "does not end in"),
        ("metrics", "https://prometheus-prod-01.grafana.net/api/prom/push?x=1", "something after the path"),
        ("metrics", "https://logs-prod-01.grafana.net/loki/api/v1/push", "looks like the address for logs"),
        ("metrics", " https://prometheus-prod-01.grafana.net/api/prom/push", "a space or tab at position 1"),
        ("metrics", "'https://prometheus-prod-01.grafana.net/api/prom/push'", "a quotation mark at position 1"),
        ("metrics", "https://prometheus-prod-01.grafana.net:port/api/prom/push", "is not an address"),
        ("metrics", "https://1001:glc_secret@prometheus-prod-01.grafana.net/api/prom/push", "a credential in it"),
        ("metrics", "https:///api/prom/push", "no host"),
        ("logs", "https://logs-prod-01.grafana.net", "does not end in /loki/api/v1/push"),
        ("logs", "https://prometheus-prod-01.grafana.net/api/prom/push", "looks like the address for metrics"),
        ("logs", "https://logs-prod-01.grafana.net/loki/api/v1/push\n", "a line break"),
        ("otlp", "https://otlp-gateway-prod-01.grafana.net", "instead of /otlp"),
        ("otlp", "https://otlp-gateway-prod-01.grafana.net/otlp/", "instead of /otlp"),
        ("otlp", "https://otlp-gateway-prod-01.grafana.net/otlp/v1/traces", "ends in /v1/traces"),
    ],
)
def test_impossible_address_is_refused_unasked(cloud: CloudStandIn, service: str, url: str, seen: str) -> None:
    """An address that cannot be right is refused before any request."""
    given = arguments(cloud)
    given[service]["url"] = url
    found = the_problem(given)
    assert found.startswith(f"grafana_cloud_{service}_url ")
    assert seen in found
    assert "grafana.net" in found, "an example of a right one"
    assert "glc_secret" not in found


@pytest.mark.parametrize(
    ("user", "seen"),
    [
        ("me", "'me', which is no number"),
        ("1001 ", "a space or tab at position 5 of 5"),
        ('"1001"', "a quotation mark"),
        ("", "is empty"),
        ("\u0661\u0660", "not printable ASCII"),
        ("glc_pasted_here_by_mistake", "looks like a token"),
    ],
)
def test_an_id_that_is_no_number_is_refused(cloud: CloudStandIn, user: str, seen: str) -> None:
    given = arguments(cloud)
    given["logs"]["user"] = user
    found = the_problem(given)
    assert found.startswith("grafana_cloud_logs_user ")
    assert seen in found
    assert "pasted_here" not in found


@pytest.mark.parametrize(
    ("token", "seen"),
    [
        ("glc_abcdefghijklmnop\n", "a line break at position 21 of 21"),
        (" glc_abcdefghijklmnop", "a space or tab"),
        ("glc_abcdefgh ijklmnop", "a space or tab at position 13"),
        ("'glc_abcdefghijklmnop'", "a quotation mark"),
        ("$GRAFANA_CLOUD_TOKEN", "placeholder"),
        ("<your token>", "a space"),
        ("{{token}}", "placeholder"),
        ("1001:glc_abcdefghijklmnop", "form id:token"),
        ("glc_abc\u200bdefghijklmnop", "not printable ASCII"),
    ],
)
def test_impossible_token_is_refused_and_never_sent(cloud: CloudStandIn, token: str, seen: str) -> None:
    """A token that cannot be right is refused, and never sent."""
    before = sum(front.bad_credentials.total() - front.bad_credentials[""] for front in cloud.fronts.values())
    given = {**arguments(cloud), "token": token}
    found = the_problem(given)
    assert found.startswith("grafana_cloud_token ")
    assert seen in found
    assert "abcdefgh" not in found
    after = sum(front.bad_credentials.total() - front.bad_credentials[""] for front in cloud.fronts.values())
    assert after == before, "a request with a credential was sent"


def test_unusable_ca_is_named_before_any_request(cloud: CloudStandIn, tmp_path: Path) -> None:
    """An authority's certificate that cannot be used is named before any request."""
    asked = sum(cloud.requests("metrics").values())
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate\n")
    for given in ({"ca_file": str(broken)}, {"ca_file": "/nonexistent"}, {"ca_file": "", "ca_content": "nonsense"}):
        assert the_problem({**arguments(cloud), **given}).startswith("grafana_cloud_ca_file: ")
    assert sum(cloud.requests("metrics").values()) == asked


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("proxy.example:3128", "no scheme"),
        ("https://proxy.example:3128", "begins with https://"),
        ("http://proxy.example:3128/path", "after host and port"),
        ("http://proxy.example:none", "is not an address"),
    ],
)
def test_a_proxy_address_that_cannot_be_right(cloud: CloudStandIn, url: str, seen: str) -> None:
    found = the_problem({**arguments(cloud), "proxy_url": url})
    assert found.startswith("grafana_cloud_proxy_url ")
    assert seen in found


def test_credential_for_the_proxy_is_refused(cloud: CloudStandIn) -> None:
    """A proxy address with a credential is refused, because the collector would show it."""
    asked = sum(cloud.requests("metrics").values())
    found = the_problem({**arguments(cloud), "proxy_url": "http://squid:pass%20word@127.0.0.1:3128"})
    assert "has a credential in it" in found
    assert "word" not in found.replace("credential", "")
    assert sum(cloud.requests("metrics").values()) == asked, "nothing is asked with it"
