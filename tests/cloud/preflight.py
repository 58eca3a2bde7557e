"""What the tests of cloud_preflight share: right arguments, and what the module says of wrong ones."""

from __future__ import annotations

from typing import Any

from tests.support.ansible_module import run_module
from tests.support.cloud import CloudStandIn


def arguments(cloud: CloudStandIn) -> dict[str, Any]:
    return {
        "metrics": {"url": cloud.metrics_url, "user": cloud.metrics_user},
        "logs": {"url": cloud.logs_url, "user": cloud.logs_user},
        "otlp": {"url": cloud.otlp_url, "user": cloud.otlp_user},
        "token": cloud.token,
        "ca_file": str(cloud.ca_file),
        "timeout": 5,
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
