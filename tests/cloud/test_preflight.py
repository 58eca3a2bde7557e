"""cloud_preflight: every way in which a destination or a credential is wrong has a message of its own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.ansible_module import ROOT, run_module
from tests.support.box import free_port
from tests.support.cloud import WRITE, Authority, CloudStandIn
from tests.support.cloud.front import Answer, Front
from tests.support.forward_proxy import ForwardProxy
from tests.support.otlp_receiver import OtlpReceiver

Change = Callable[[dict[str, Any]], None]


def arguments(cloud: CloudStandIn) -> dict[str, Any]:
    return {
        "metrics": {"url": cloud.metrics_url, "user": cloud.metrics_user},
        "logs": {"url": cloud.logs_url, "user": cloud.logs_user},
        "otlp": {"url": cloud.otlp_url, "user": cloud.otlp_user},
        "token": cloud.token, "ca_file": str(cloud.ca_file), "timeout": 5,
    }


def problems(given: dict[str, Any]) -> list[str]:
    """What is found wrong; neither token nor password may be in any of the answer."""
    answer = run_module("cloud_preflight", given)
    assert answer.get("failed"), answer
    if len(given["token"]) > 8:
        assert given["token"] not in str(answer)
    found: list[str] = answer["problems"]
    assert all(problem in answer["msg"] for problem in found)
    assert len(set(found)) == len(found)
    return found


def the_problem(given: dict[str, Any]) -> str:
    found = problems(given)
    assert len(found) == 1, found
    assert "expected" in found[0], "a message says what was expected"
    return found[0]


def test_good_values_pass_and_store_nothing(cloud: CloudStandIn) -> None:
    answer = run_module("cloud_preflight", arguments(cloud), check_mode=True)
    assert answer["services"] == {"metrics": 204, "logs": 422, "otlp": 200}
    assert answer["changed"] is False
    assert not cloud.lines()
    assert not cloud.spans()
    assert not cloud.query("count({__name__!=''})")


def test_services_that_are_left_out_are_not_asked(cloud: CloudStandIn) -> None:
    given = arguments(cloud)
    del given["logs"], given["otlp"]
    assert run_module("cloud_preflight", given)["services"] == {"metrics": 204}


def test_without_anything_every_variable_is_named_at_once() -> None:
    empty = {"url": "", "user": ""}
    found = problems({"metrics": empty, "logs": empty, "otlp": empty, "token": ""})
    named = [problem.split()[0] for problem in found]
    assert named == ["grafana_cloud_metrics_url", "grafana_cloud_metrics_user", "grafana_cloud_logs_url",
                     "grafana_cloud_logs_user", "grafana_cloud_otlp_url", "grafana_cloud_otlp_user",
                     "grafana_cloud_token"]
    assert all("is empty" in problem for problem in found)
    assert "GRAFANA_CLOUD_TOKEN in the environment" in found[-1]


@pytest.mark.parametrize(("service", "url", "seen"), [
    ("metrics", "prometheus-prod-01.grafana.net/api/prom/push", "no scheme"),
    ("metrics", "http://prometheus-prod-01.grafana.net/api/prom/push", "in the clear"),
    ("metrics", "https://prometheus-prod-01.grafana.net/api/prom", "does not end in /api/prom/push"),
    ("metrics", "https://prometheus-prod-01.grafana.net/api/prom/push/", "does not end in"),
    ("metrics", "https://prometheus-prod-01.grafana.net/api/prom/push?x=1", "something after the path"),
    ("metrics", "https://logs-prod-01.grafana.net/loki/api/v1/push", "looks like the address for logs"),
    ("metrics", " https://prometheus-prod-01.grafana.net/api/prom/push", "a space or tab at position 1"),
    ("metrics", "'https://prometheus-prod-01.grafana.net/api/prom/push'", "a quotation mark at position 1"),
    ("metrics", "https://prometheus-prod-01.grafana.net:port/api/prom/push", "is no address"),
    ("metrics", "https://1001:glc_secret@prometheus-prod-01.grafana.net/api/prom/push", "a credential in it"),
    ("metrics", "https:///api/prom/push", "no host"),
    ("logs", "https://logs-prod-01.grafana.net", "does not end in /loki/api/v1/push"),
    ("logs", "https://prometheus-prod-01.grafana.net/api/prom/push", "looks like the address for metrics"),
    ("logs", "https://logs-prod-01.grafana.net/loki/api/v1/push\n", "a line break"),
    ("otlp", "https://otlp-gateway-prod-01.grafana.net", "instead of /otlp"),
    ("otlp", "https://otlp-gateway-prod-01.grafana.net/otlp/", "instead of /otlp"),
    ("otlp", "https://otlp-gateway-prod-01.grafana.net/otlp/v1/traces", "ends in /v1/traces"),
])
def test_an_address_that_cannot_be_right_is_refused_unasked(
        cloud: CloudStandIn, service: str, url: str, seen: str) -> None:
    given = arguments(cloud)
    given[service]["url"] = url
    found = the_problem(given)
    assert found.startswith(f"grafana_cloud_{service}_url ")
    assert seen in found
    assert "grafana.net" in found, "an example of a right one"
    assert "glc_secret" not in found


@pytest.mark.parametrize(("user", "seen"), [
    ("me", "'me', which is no number"), ("1001 ", "a space or tab at position 5 of 5"), ('"1001"', "a quotation mark"),
    ("", "is empty"), ("\u0661\u0660", "not printable ASCII"), ("glc_pasted_here_by_mistake", "looks like a token"),
])
def test_an_id_that_is_no_number_is_refused(cloud: CloudStandIn, user: str, seen: str) -> None:
    given = arguments(cloud)
    given["logs"]["user"] = user
    found = the_problem(given)
    assert found.startswith("grafana_cloud_logs_user ")
    assert seen in found
    assert "pasted_here" not in found


@pytest.mark.parametrize(("token", "seen"), [
    ("glc_abcdefghijklmnop\n", "a line break at position 21 of 21"), (" glc_abcdefghijklmnop", "a space or tab"),
    ("glc_abcdefgh ijklmnop", "a space or tab at position 13"), ("'glc_abcdefghijklmnop'", "a quotation mark"),
    ("$GRAFANA_CLOUD_TOKEN", "placeholder"), ("<your token>", "a space"), ("{{token}}", "placeholder"),
    ("1001:glc_abcdefghijklmnop", "form id:token"), ("glc_abc\u200bdefghijklmnop", "not printable ASCII"),
])
def test_a_token_that_cannot_be_right_is_refused_and_never_sent(cloud: CloudStandIn, token: str, seen: str) -> None:
    before = sum(front.bad_credentials.total() - front.bad_credentials[""] for front in cloud.fronts.values())
    given = {**arguments(cloud), "token": token}
    found = the_problem(given)
    assert found.startswith("grafana_cloud_token ")
    assert seen in found
    assert "abcdefgh" not in found
    after = sum(front.bad_credentials.total() - front.bad_credentials[""] for front in cloud.fronts.values())
    assert after == before, "a request with a credential was sent"


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


def test_a_token_that_nobody_accepts_is_one_problem_not_three(cloud: CloudStandIn) -> None:
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


def test_a_scope_that_is_missing_is_named_where_the_gateway_says_401(cloud: CloudStandIn, tmp_path: Path) -> None:
    def refuse(_: object) -> Answer:
        return Answer.of_json({"status": "error", "error": "authentication error: invalid scope requested"}, 401)

    found = the_problem({**arguments(cloud), **served(cloud, tmp_path, refuse)})
    assert found.startswith("grafana_cloud_token: metrics at ")
    assert "scope metrics:write" in found


def test_a_server_that_repeats_the_credential_is_not_quoted(cloud: CloudStandIn, tmp_path: Path) -> None:
    def repeat(request: Any) -> Answer:
        return Answer(418, f"{request.headers['authorization']} {cloud.token}".encode())

    found = the_problem({**arguments(cloud), **served(cloud, tmp_path, repeat)})
    assert "418 (Basic ******** ********)" in found


def served(cloud: CloudStandIn, directory: Path, serve: Callable[[Any], Answer]) -> dict[str, Any]:
    """Settings with a server of another kind in the place of metrics; it ends with the tests."""
    certificate = cloud.authority.certificate(f"other-{directory.name}", ["127.0.0.1"])
    front = Front("other", "127.0.0.1", certificate, lambda user, token: WRITE, serve, lambda request: "metrics:write")
    return {"metrics": {"url": f"{front.url}/api/prom/push", "user": "1001"}}


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
def test_a_destination_that_is_down_is_not_called_a_bad_credential(cloud: CloudStandIn, kind: str) -> None:
    cloud.fault("otlp", kind)
    found = the_problem(arguments(cloud))
    assert found.startswith("grafana_cloud_otlp_url: ")
    assert "the destination is down at this moment" in found


def test_a_rate_limit_is_no_refusal_of_the_credential(cloud: CloudStandIn) -> None:
    cloud.fault("metrics", "429")
    assert run_module("cloud_preflight", arguments(cloud))["services"]["metrics"] == 429


def test_a_name_that_does_not_resolve(cloud: CloudStandIn) -> None:
    given = arguments(cloud)
    given["metrics"]["url"] = "https://prometheus.invalid/api/prom/push"
    found = the_problem(given)
    assert "the name prometheus.invalid does not resolve" in found


def test_a_port_that_refuses_and_one_that_drops(cloud: CloudStandIn) -> None:
    cloud.fault("metrics", "down")
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        held = [socket.socket() for _ in range(4)]  # more than its queue takes: the kernel drops what comes after
        for one in held:
            one.setblocking(False)
            one.connect_ex(address)
        given = arguments(cloud)
        given["logs"]["url"] = f"https://127.0.0.1:{address[1]}/loki/api/v1/push"
        given["timeout"] = 2
        refused, dropped = problems(given)
        for one in held:
            one.close()
    assert "refuses connections" in refused
    assert "no connection to 127.0.0.1" in dropped
    assert "within 2 s" in dropped


def test_a_service_that_never_answers(cloud: CloudStandIn) -> None:
    cloud.fault("logs", "black_hole")
    found = the_problem({**arguments(cloud), "timeout": 2})
    assert found.startswith("grafana_cloud_logs_url: ")
    assert "said nothing for 2 s" in found


def shown(cloud: CloudStandIn, certificate: Path) -> str:
    """The problem when the logs service shows this certificate."""
    front = cloud.fronts["logs"]
    front.use_certificate(certificate)
    try:
        return the_problem(arguments(cloud))
    finally:
        front.use_certificate(cloud.ca_file.with_name("server.pem"))


def test_a_certificate_of_an_authority_that_is_not_trusted(cloud: CloudStandIn, tmp_path: Path) -> None:
    found = shown(cloud, Authority(tmp_path, "somebody").certificate("server", ["127.0.0.1"]))
    assert found.startswith("grafana_cloud_ca_file: no answer from logs")
    assert "signed by nobody this host trusts" in found


def test_a_certificate_for_another_name(cloud: CloudStandIn) -> None:
    found = shown(cloud, cloud.authority.certificate("other-name", ["other.example"]))
    assert found.startswith("grafana_cloud_logs_url: ")
    assert "is for another name" in found


def test_a_certificate_that_has_expired(cloud: CloudStandIn) -> None:
    found = shown(cloud, cloud.authority.certificate("expired", ["127.0.0.1"], expired=True))
    assert "has expired (by the clock of this host" in found


def test_a_port_without_tls(cloud: CloudStandIn) -> None:
    with OtlpReceiver() as plain:
        given = arguments(cloud)
        given["otlp"]["url"] = plain.url.replace("http://", "https://") + "/otlp"
        assert "does not speak TLS as expected" in the_problem(given)


def test_a_ca_that_cannot_be_used_is_named_before_anything_is_asked(cloud: CloudStandIn, tmp_path: Path) -> None:
    asked = sum(cloud.requests("metrics").values())
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate\n")
    for given in ({"ca_file": str(broken)}, {"ca_file": "/nonexistent"}, {"ca_file": "", "ca_content": "nonsense"}):
        assert the_problem({**arguments(cloud), **given}).startswith("grafana_cloud_ca_file: ")
    assert sum(cloud.requests("metrics").values()) == asked


def test_a_ca_that_is_not_on_the_host_yet_is_taken_as_text(cloud: CloudStandIn) -> None:
    given = {**arguments(cloud), "ca_file": "", "ca_content": cloud.ca_file.read_text()}
    assert run_module("cloud_preflight", given)["services"]["metrics"] == 204


def test_everything_goes_through_the_proxy_that_is_named(cloud: CloudStandIn) -> None:
    with ForwardProxy() as proxy:
        given = {**arguments(cloud), "proxy_url": f"http://{proxy.address}"}
        assert "failed" not in run_module("cloud_preflight", given)
        fronts = [cloud.fronts[name] for name in ("metrics", "logs", "otlp")]
        assert sorted(proxy.tunnels) == sorted(front.url.removeprefix("https://") for front in fronts)


def test_a_proxy_that_wants_a_credential_is_one_problem(cloud: CloudStandIn) -> None:
    with ForwardProxy("squid", "right") as proxy:
        found = the_problem({**arguments(cloud), "proxy_url": f"http://{proxy.address}"})
    assert found.startswith("grafana_cloud_proxy_url: ")
    assert "(407)" in found


def test_a_credential_for_the_proxy_is_refused_because_the_collector_would_show_it(cloud: CloudStandIn) -> None:
    asked = sum(cloud.requests("metrics").values())
    found = the_problem({**arguments(cloud), "proxy_url": "http://squid:pass%20word@127.0.0.1:3128"})
    assert "has a credential in it" in found
    assert "word" not in found.replace("credential", "")
    assert sum(cloud.requests("metrics").values()) == asked, "nothing is asked with it"


def test_a_proxy_that_is_not_there_is_one_problem(cloud: CloudStandIn) -> None:
    found = the_problem({**arguments(cloud), "proxy_url": f"http://127.0.0.1:{free_port()}"})
    assert found.startswith("grafana_cloud_proxy_url: ")
    assert "refuses connections" in found


def test_a_destination_that_the_proxy_cannot_reach_is_not_the_proxys_fault(cloud: CloudStandIn) -> None:
    cloud.fault("logs", "down")
    with ForwardProxy() as proxy:
        found = the_problem({**arguments(cloud), "proxy_url": f"http://{proxy.address}"})
    assert found.startswith("grafana_cloud_logs_url: no answer from logs through the proxy")
    assert "502" in found


@pytest.mark.parametrize(("url", "seen"), [
    ("proxy.example:3128", "no scheme"), ("https://proxy.example:3128", "begins with https://"),
    ("http://proxy.example:3128/path", "after host and port"), ("http://proxy.example:none", "is no address"),
])
def test_a_proxy_address_that_cannot_be_right(cloud: CloudStandIn, url: str, seen: str) -> None:
    found = the_problem({**arguments(cloud), "proxy_url": url})
    assert found.startswith("grafana_cloud_proxy_url ")
    assert seen in found


def test_all_problems_come_in_one_go(cloud: CloudStandIn) -> None:
    given = arguments(cloud)
    given["metrics"]["url"] = "https://prometheus.invalid/api/prom/push"
    given["logs"]["user"] = "me"
    cloud.fault("otlp", "503")
    assert [re.split(r"[: ]", problem)[0] for problem in problems(given)] == [
        "grafana_cloud_logs_user", "grafana_cloud_metrics_url", "grafana_cloud_otlp_url"]


def test_ansible_shows_no_secret_at_its_most_talkative(cloud: CloudStandIn, tmp_path: Path) -> None:
    """The real ansible-playbook, -vvv and --diff, for a failure and for a success."""
    play = tmp_path / "play.yml"
    play.write_text("""
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - cloud_preflight: {metrics: {url: "{{ url }}", user: "{{ user }}"}, token: "{{ lookup('env', 'TOKEN') }}",
                        ca_file: "{{ ca }}", proxy_url: "{{ lookup('env', 'PROXY') }}"}
""", encoding="utf-8")
    with ForwardProxy() as proxy:
        for user, credential, reason in ((cloud.metrics_user, "", ""),
                                         ("7", "", "grafana_cloud_token: metrics answers 401"),
                                         (cloud.metrics_user, "squid:proxy-secret@", "has a credential in it")):
            done = subprocess.run(
                [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-vvv", "--diff",
                 "--check", str(play), "-e", f"url={cloud.metrics_url} user={user} ca={cloud.ca_file}",
                 "-e", f"ansible_python_interpreter={sys.executable}"],
                env={**os.environ, "TOKEN": cloud.token, "PROXY": f"http://{credential}{proxy.address}",
                     "ANSIBLE_LIBRARY": str(ROOT / "ansible/library"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
                     "ANSIBLE_MODULE_UTILS": str(ROOT / "ansible/module_utils"), "ANSIBLE_REMOTE_TEMP": str(tmp_path)},
                capture_output=True, text=True, timeout=240, check=False)
            said = done.stdout + done.stderr
            assert done.returncode == (2 if reason else 0), said
            assert reason in said
            assert cloud.token not in said
            assert "proxy-secret" not in said
