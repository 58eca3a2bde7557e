"""Incident response: wait for the alert, route it by priority, investigate, fix, deploy safely, verify the recovery.

`python respond.py --timeline incident.md`, as a user who may read the password file and restart the service.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deploy import DeployFailed, Deployment, RollbackFailed
from monitoring import Monitoring, Unavailable, until
from timeline import Timeline

from hypertool import ObservableLLM, WorkflowTracer
from hypertool.patterns import Router
from hypertool.simulation.llm import SimulatedLLM

OBSERVABILITY, BACKEND, DEVOPS = "observability-expert", "backend-engineer", "devops-engineer"
PRIORITIES = ("p0_critical", "p1_high", "p2_medium", "p3_low")
BY_SEVERITY = {"critical": "p1_high", "warning": "p2_medium", "info": "p3_low"}
FAILED = 'sum(rate(shop_orders_total{result="failed"}[1m])) / sum(rate(shop_orders_total[1m]))'
HEALTHY_BELOW = 0.05
ALERT_SECONDS = RECOVERY_SECONDS = 180

simulated = SimulatedLLM(seconds=0.2)
# Put your own model here: docs/integrations.md.
ask = ObservableLLM(simulated, simulated.model, provider=simulated.model)


class Options(NamedTuple):
    """What the command line says."""

    alert: str
    priority: str | None
    fixes: Sequence[str]
    timeline: Path
    ticket: Path


class Response:
    """One incident: its alert, its workflow run and its timeline."""

    def __init__(self, options: Options, monitoring: Monitoring, deployment: Deployment) -> None:
        self._options, self._monitoring, self._deployment = options, monitoring, deployment
        self._timeline = Timeline(f"Incident {options.alert}")
        self._alert: dict[str, Any] = {}

    def run(self) -> str:
        """Respond; the decision: escalated, resolved, fixed, ticket or unresolved. The timeline is always written."""
        decision = "unresolved"
        try:
            with self._timeline.step("alert") as outcome:
                self._alert = until(
                    f"the alert {self._options.alert}",
                    ALERT_SECONDS,
                    lambda: self._monitoring.alert(self._options.alert),
                )
                outcome.append(self._alert["annotations"].get("summary", "firing"))
            metadata = {"chatmode": "incident-response", "alert": self._options.alert}
            with WorkflowTracer("incident_response", metadata) as self._workflow:
                decision = self._respond()
        finally:
            self._timeline.write(self._options.timeline, decision)
            print(f"{self._timeline.seconds:7.1f} s  {'total':<20} {decision}; {self._options.timeline}", flush=True)
        return decision

    def _respond(self) -> str:
        routes = {"p0_critical": self._escalate, "p1_high": self._resolve, "p2_medium": self._fix, "p3_low": self._file}
        router = Router(self._priority, routes)
        # The stage ends with the decision: what a route does are stages of their own.
        with self._timeline.step("triage", OBSERVABILITY) as outcome:
            with self._workflow.stage_context("triage", OBSERVABILITY):
                priority: str = router.decide(self._alert)
            outcome.append(priority)
        return routes[priority]()

    def _priority(self, alert: dict[str, Any]) -> str:
        """What was given, else the alert's label `priority`, else by its severity; what is unknown is escalated."""
        labels = alert["labels"]
        known = self._options.priority or labels.get("priority") or BY_SEVERITY.get(labels.get("severity", ""))
        return known if known in PRIORITIES else "p0_critical"

    def _escalate(self, why: str = "a person takes over; nothing was changed") -> str:
        with self._timeline.step("escalation") as outcome:
            outcome.append(why)
        return "escalated"

    def _file(self) -> str:
        with self._timeline.step("ticket") as outcome:
            summary = self._alert["annotations"].get("summary", "")
            with self._options.ticket.open("a", encoding="utf-8") as tickets:
                tickets.write(f"- {self._options.alert}: {' '.join(summary.split())}\n")
            outcome.append(f"filed in {self._options.ticket}")
        return "ticket"

    def _fix(self) -> str:
        self._investigate()
        self._hotfix(self._options.fixes[-1])
        return "fixed"

    def _resolve(self) -> str:
        self._investigate()
        try:
            for fix in self._options.fixes:
                if self._hotfix(fix) and self._deploy(fix):
                    return "resolved" if self._recovered() else "unresolved"
        except RollbackFailed:
            return self._escalate("a person takes over: the rollback failed")
        return "unresolved"

    def _investigate(self) -> None:
        """Gate: Prometheus confirms what the alert says."""
        with (
            self._timeline.step("investigation", OBSERVABILITY) as outcome,
            self._workflow.stage_context("investigation", OBSERVABILITY) as stage,
        ):
            failed = self._monitoring.value(FAILED)
            ask(f"{self._options.alert}: {failed} of the orders fail; why?", 1820)
            stage.set_quality_gate(failed is not None and failed > HEALTHY_BELOW, f"the share that fails is {failed}")
            outcome.append(
                f"{failed:.0%} of the orders fail on {self._deployment.running}" if failed else "not confirmed"
            )

    def _hotfix(self, release: str) -> bool:
        """Gate: there is such a release. (A persona of yours writes it here.)"""
        with (
            self._timeline.step("hotfix", BACKEND) as outcome,
            self._workflow.stage_context("hotfix", BACKEND) as stage,
        ):
            ask(f"write release {release}", 1850 // max(2, len(self._options.fixes)))
            there = self._deployment.has(release)
            stage.set_quality_gate(there, f"there is no release {release}")
            outcome.append(f"release {release}" if there else f"there is no release {release}")
        return there

    def _deploy(self, release: str) -> bool:
        """Gate: it runs and takes orders; otherwise the release before it runs again."""
        with (
            self._timeline.step("deploy", DEVOPS) as outcome,
            self._workflow.stage_context("deploy", DEVOPS) as stage,
        ):
            ask(f"plan the deployment of {release}", 1640 // max(2, len(self._options.fixes)))
            try:
                outcome.append(f"{release} is running: {self._deployment.deploy(release)}")
                return True
            except DeployFailed as failed:
                stage.set_quality_gate(False, str(failed))
                outcome.append(str(failed))
                return False

    def _recovered(self) -> bool:
        """Gate: Prometheus sees the orders succeed, and the alert is no longer active."""

        def check() -> float | None:
            failed = self._monitoring.value(FAILED)
            healthy = failed is not None and failed < HEALTHY_BELOW
            return failed if healthy and self._monitoring.alert(self._options.alert) is None else None

        with (
            self._timeline.step("verify_recovery", OBSERVABILITY) as outcome,
            self._workflow.stage_context("verify_recovery", OBSERVABILITY) as stage,
        ):
            try:
                failed = until("the recovery", RECOVERY_SECONDS, check)
            except TimeoutError as error:
                stage.set_quality_gate(False, str(error))
                outcome.append(str(error))
                return False
            outcome.append(f"{failed:.0%} of the orders fail, and the alert has ended")
            return True


def main() -> int:
    """Respond to one alert; exit code 0 unless it is unresolved."""
    here = Path(__file__).resolve().parent
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--alert", default="ShopOrdersFail")
    arguments.add_argument("--priority", choices=PRIORITIES, help="instead of the alert's")
    arguments.add_argument("--fix", action="append", help="a release to try; may be repeated (default: 1.0.1, 1.0.2)")
    arguments.add_argument("--timeline", type=Path, default=Path("incident.md"))
    arguments.add_argument("--ticket", type=Path, default=Path("tickets.md"))
    arguments.add_argument("--root", type=Path, default=here, help="the service's folder")
    arguments.add_argument("--port", type=int, default=8085)
    arguments.add_argument("--restart", nargs="+", default=["systemctl", "restart", "shop.service"])
    arguments.add_argument("--prometheus", default="http://127.0.0.1:9090")
    arguments.add_argument("--alertmanager", default="http://127.0.0.1:9093")
    arguments.add_argument("--netrc-file", type=Path, default=Path("/etc/hypertool/secrets/netrc"))
    given = arguments.parse_args()
    options = Options(given.alert, given.priority, given.fix or ["1.0.1", "1.0.2"], given.timeline, given.ticket)
    monitoring = Monitoring(given.prometheus, given.alertmanager, given.netrc_file)
    try:
        decision = Response(options, monitoring, Deployment(given.root, given.port, given.restart)).run()
    except Unavailable as error:
        print(f"respond.py: {error}", file=sys.stderr)
        return 1
    return 1 if decision == "unresolved" else 0


if __name__ == "__main__":
    sys.exit(main())
