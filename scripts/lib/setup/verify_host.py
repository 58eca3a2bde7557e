#!/usr/bin/env python3
"""Verifies an installation from outside: targets, rules, and one baseline run whose figures are in Prometheus.

Uses only the standard library. Exits with 1 and says what it waited for and what it saw instead.
"""

from __future__ import annotations

import argparse
import base64
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable

JOBS = ("alertmanager", "hypertool", "node", "prometheus")
# What one baseline run adds to counters (contract: personas and workflows), by series.
TOKENS = {"backend-engineer": 850, "testing-specialist": 650, "devops-engineer": 550}
ADDED = {
    **{
        f"tokens of {persona}": (
            f'hypertool_persona_tokens_used_total{{persona="{persona}",chatmode="package-release"}}',
            tokens,
        )
        for persona, tokens in TOKENS.items()
    },
    "LLM calls": ('hypertool_llm_requests_total{model="simulated",outcome="success"}', 3),
    "gates passed": ('hypertool_workflow_quality_gate_total{workflow="package_release",result="pass"}', 3),
    "stages": ('hypertool_workflow_stage_duration_seconds_count{workflow="package_release"}', 3),
    "switches": ('hypertool_persona_switches_total{chatmode="package-release"}', 3),
    "switches from none": ('hypertool_persona_switches_total{chatmode="package-release",from_persona="none"}', 1),
}
LIMIT = 'hypertool_persona_token_budget_limit{{persona="{}"}}'
LEFT = 'hypertool_persona_token_budget_remaining{{persona="{}"}}'


class Failed(Exception):
    """A failed check; the text says which, and where to look."""


def authorization(path: str) -> dict[str, str]:
    """The authorization header for Prometheus, from the file with its password; empty without that file."""
    try:
        password = pathlib.Path(path).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"hypertool:{password}".encode()).decode()}


def fetch(url: str, headers: dict[str, str] | None = None) -> bytes:
    # Without the host's proxy: every request goes to its own loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers or {}), timeout=5) as response:
        body: bytes = response.read()
    return body


def wait_for(what: str, check: Callable[[], str], deadline: float, hint: str) -> None:
    """Repeat a check until it has no complaint; at the deadline, report the last one."""
    while True:
        try:
            complaint = check()
        except (OSError, ValueError, KeyError) as error:
            complaint = str(error)
        if not complaint:
            return
        if time.monotonic() > deadline:
            raise Failed(f"{what}: {complaint}. {hint}")
        time.sleep(0.5)


class Stack:
    def __init__(self, options: argparse.Namespace) -> None:
        self.prometheus = options.prometheus.rstrip("/")
        self.exporter = options.exporter.rstrip("/")
        self.headers = authorization(options.password_file)

    def api(self, path: str) -> dict[str, list[dict[str, object]]]:
        answer = json.loads(fetch(f"{self.prometheus}/api/v1/{path}", self.headers))
        data: dict[str, list[dict[str, object]]] = answer["data"]
        return data

    def value(self, expression: str) -> float | None:
        result = self.api("query?" + urllib.parse.urlencode({"query": f"sum({expression})"}))["result"]
        if not result:
            return None
        return float(result[0]["value"][1])  # type: ignore[index]

    def exposed(self, series: str) -> float:
        """Sum of the series at the endpoint itself, which is always current."""
        name, _, wanted = series.rstrip("}").partition("{")
        labels = dict(re.findall(r'(\w+)="([^"]*)"', wanted))
        total = 0.0
        for line in fetch(f"{self.exporter}/metrics").decode().splitlines():
            match = re.match(rf"{name}\{{(.*)\}} (\S+)", line)
            if match and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match.group(1))).items():
                total += float(match.group(2))
        return total

    def targets_missing(self) -> str:
        active = self.api("targets?state=active")["activeTargets"]
        up = {str(t["labels"]["job"]): t for t in active}  # type: ignore[index]
        # What Alloy scrapes on its behalf is not a target of Prometheus.
        by_alloy = {job for job in JOBS if job not in up and self.value(f'min(up{{job="{job}"}})') == 1}
        down = [job for job in JOBS if job not in by_alloy and (job not in up or up[job]["health"] != "up")]
        return "; ".join(
            f"{job} is {up[job]['lastError'] or 'not scraped yet'}" if job in up else f"{job} is missing"
            for job in down
        )

    def rules_missing(self) -> str:
        groups = self.api("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]  # type: ignore[attr-defined]
        if not rules:
            return "no rule is loaded"
        return "; ".join(
            f"{rule['name']} is {rule['health']} {rule.get('lastError', '')}".strip()
            for rule in rules
            if rule["health"] != "ok"
        )

    def budgets_after(self) -> dict[str, set[float]]:
        """What one run may leave: of a full budget (window `run`), or of what is left now (`hour`, `day`)."""
        return {
            persona: {self.exposed(series.format(persona)) - tokens for series in (LIMIT, LEFT)}
            for persona, tokens in TOKENS.items()
        }

    def figures_missing(
        self, before: dict[str, float], budgets: dict[str, set[float]], read: Callable[[str], float | None]
    ) -> str:
        complaints = []
        for what, (series, added) in ADDED.items():
            got = (read(series) or 0) - before[what]
            if got != added:
                complaints.append(f"{what} {got:g}, expected {added}")
        for persona, expected in budgets.items():
            value = read(LEFT.format(persona))
            if value not in expected:
                wanted = " or ".join(f"{left:g}" for left in sorted(expected))
                complaints.append(f"budget left of {persona} {value}, expected {wanted}")
        return "; ".join(complaints)


def run_baseline(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    for line in (done.stdout + done.stderr).strip().splitlines():
        print(f"    {line}", flush=True)
    if done.returncode:
        raise Failed(f"the baseline run failed with exit {done.returncode} ({' '.join(command)})")


def verify(options: argparse.Namespace) -> None:
    stack = Stack(options)
    deadline = time.monotonic() + options.timeout
    wait_for(
        "the metrics endpoint",
        lambda: "" if fetch(f"{stack.exporter}/metrics") else "empty",
        deadline,
        "Look at: journalctl -u hypertool-exporter",
    )
    before = {what: stack.exposed(series) for what, (series, _) in ADDED.items()}
    budgets = stack.budgets_after()
    print("running the baseline workflow", flush=True)
    run_baseline(options.baseline)
    if options.exporter_only:
        wait_for(
            "the baseline's figures",
            lambda: stack.figures_missing(before, budgets, stack.exposed),
            deadline,
            "Other agents that run at the same time change them too; run it again. Look at: hypertool status",
        )
        print("OK  the baseline is at the metrics endpoint, which the collector scrapes", flush=True)
        return
    print("waiting for its figures in Prometheus", flush=True)
    wait_for(
        "the baseline's figures",
        lambda: stack.figures_missing(before, budgets, stack.value),
        deadline,
        "Other agents that run at the same time change them too; run it again. Look at: hypertool status",
    )
    left = "/".join(f"{stack.value(LEFT.format(persona)):g}" for persona in TOKENS)
    print(
        f"OK  the baseline in Prometheus: tokens 850/650/550, budgets left {left}, 3 LLM calls, 3 gates passed, "
        "3 stages, 3 switches",
        flush=True,
    )
    wait_for("Prometheus' targets", stack.targets_missing, deadline, f"Look at: {stack.prometheus}/targets")
    print(f"OK  targets up: {', '.join(JOBS)}", flush=True)
    wait_for("Prometheus' rules", stack.rules_missing, deadline, f"Look at: {stack.prometheus}/rules")
    print("OK  every rule is loaded and healthy", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--exporter", default="http://127.0.0.1:9464")
    parser.add_argument(
        "--password-file",
        default="/etc/hypertool/secrets/web_password",
        help="password of Prometheus, where it has one",
    )
    parser.add_argument(
        "--exporter-only", action="store_true", help="check the endpoint alone: the samples go elsewhere"
    )
    parser.add_argument("--timeout", type=float, default=90, help="seconds for everything together")
    parser.add_argument(
        "baseline", nargs=argparse.REMAINDER, help="after --, the command that runs the baseline on the host"
    )
    options = parser.parse_args()
    options.baseline = options.baseline[1:] if options.baseline[:1] == ["--"] else options.baseline
    try:
        verify(options)
    except Failed as error:
        print(f"FAILED  {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
