"""cloud_preflight as a whole: it stores nothing, says all problems in one go, and shows no secret."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cloud.preflight import arguments, problems
from tests.support.ansible_module import run_module, run_task
from tests.support.cloud import CloudStandIn
from tests.support.forward_proxy import ForwardProxy


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


def test_all_problems_come_in_one_go(cloud: CloudStandIn) -> None:
    given = arguments(cloud)
    given["metrics"]["url"] = "https://prometheus.invalid/api/prom/push"
    given["logs"]["user"] = "me"
    cloud.fault("otlp", "503")
    assert [re.split(r"[: ]", problem)[0] for problem in problems(given)] == [
        "grafana_cloud_logs_user",
        "grafana_cloud_metrics_url",
        "grafana_cloud_otlp_url",
    ]


def test_ansible_shows_no_secret_at_its_most_talkative(cloud: CloudStandIn, tmp_path: Path) -> None:
    """The real ansible-playbook, -vvv and --diff, for a failure and for a success."""
    with ForwardProxy() as proxy:
        for user, credential, reason in (
            (cloud.metrics_user, "", ""),
            ("7", "", "grafana_cloud_token: metrics answers 401"),
            (cloud.metrics_user, "squid:proxy-secret@", "has a credential in it"),
        ):
            done = run_task(
                """
                cloud_preflight: {metrics: {url: "{{ url }}", user: "{{ user }}"}, ca_file: "{{ ca }}",
                                  token: "{{ lookup('env', 'TOKEN') }}", proxy_url: "{{ lookup('env', 'PROXY') }}"}
                """,
                tmp_path,
                "--check",
                "-e",
                f"url={cloud.metrics_url} user={user} ca={cloud.ca_file}",
                TOKEN=cloud.token,
                PROXY=f"http://{credential}{proxy.address}",
            )
            said = done.stdout + done.stderr
            assert done.returncode == (2 if reason else 0), said
            assert reason in said
            assert cloud.token not in said
            assert "proxy-secret" not in said
