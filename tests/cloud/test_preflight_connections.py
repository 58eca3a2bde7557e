"""cloud_preflight: where no answer comes, the hop that fails is named: name, port, TLS, authority or proxy."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.cloud.preflight import arguments, problems, the_problem
from tests.support.ansible_module import run_module
from tests.support.box import free_port
from tests.support.cloud import Authority, CloudStandIn
from tests.support.forward_proxy import ForwardProxy
from tests.support.otlp_receiver import OtlpReceiver


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


def test_certificate_of_an_untrusted_authority(cloud: CloudStandIn, tmp_path: Path) -> None:
    """A certificate of an authority that the host does not trust is named as the problem."""
    found = shown(cloud, Authority(tmp_path, "somebody").certificate("server", ["127.0.0.1"]))
    assert found.startswith("grafana_cloud_ca_file: no answer from logs")
    assert "not signed by an authority that this host trusts" in found


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


def test_ca_that_is_not_on_the_host_is_taken_as_text(cloud: CloudStandIn) -> None:
    """An authority's certificate that is not on the host yet can be given as text."""
    given = {**arguments(cloud), "ca_file": "", "ca_content": cloud.ca_file.read_text()}
    assert run_module("cloud_preflight", given)["services"]["metrics"] == 204


def test_everything_goes_through_the_named_proxy(cloud: CloudStandIn) -> None:
    """Every request goes through the proxy that is named."""
    with ForwardProxy() as proxy:
        given = {**arguments(cloud), "proxy_url": f"http://{proxy.address}"}
        assert "failed" not in run_module("cloud_preflight", given)
        fronts = [cloud.fronts[name] for name in ("metrics", "logs", "otlp")]
        assert sorted(proxy.tunnels) == sorted(front.url.removeprefix("https://") for front in fronts)


def test_proxy_that_wants_a_credential_is_one_problem(cloud: CloudStandIn) -> None:
    """A proxy that asks for a credential is one problem, not one per service."""
    with ForwardProxy("squid", "right") as proxy:
        found = the_problem({**arguments(cloud), "proxy_url": f"http://{proxy.address}"})
    assert found.startswith("grafana_cloud_proxy_url: ")
    assert "(407)" in found


def test_a_proxy_that_is_not_there_is_one_problem(cloud: CloudStandIn) -> None:
    found = the_problem({**arguments(cloud), "proxy_url": f"http://127.0.0.1:{free_port()}"})
    assert found.startswith("grafana_cloud_proxy_url: ")
    assert "refuses connections" in found


def test_unreachable_destination_is_no_proxy_fault(cloud: CloudStandIn) -> None:
    """A destination that the proxy cannot reach is not reported as a fault of the proxy."""
    cloud.fault("logs", "down")
    with ForwardProxy() as proxy:
        found = the_problem({**arguments(cloud), "proxy_url": f"http://{proxy.address}"})
    assert found.startswith("grafana_cloud_logs_url: no answer from logs through the proxy")
    assert "502" in found
