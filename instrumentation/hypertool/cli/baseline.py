"""`hypertool baseline` and `hypertool workflow`: run a declared workflow, show its records and where to see it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping

from ..domain.personas import Catalogue, load_catalogue
from ..errors import HypertoolError, StoreUnavailable
from ..runtime.light_typing import TYPE_CHECKING, Any, NamedTuple
from ..runtime.redaction import redact
from ..service.addresses import listen_address
from ..store.store import HostState, Store
from .output import UsageProblem, complain, listen, print_json, say
from .persona import tell
from .places import Place, places

if TYPE_CHECKING:
    from ..simulation.workflows import WorkflowReport

FLUSH_SECONDS = 3.0


class Sent(NamedTuple):
    """What one sink had delivered when this command stopped waiting: spans of `spans`, scores of `scores`."""

    sink: str
    to: str
    resolved: bool
    spans: int
    delivered: int
    scores: int = 0
    scores_delivered: int = 0

    @property
    def complete(self) -> bool:
        """Whether everything arrived."""
        return (self.delivered, self.scores_delivered) == (self.spans, self.scores)

    def outcome(self) -> str:
        """The result in words."""
        if self.complete:
            return "delivered"
        counts = f"{self.delivered} of {self.spans} spans"
        counts += f" and {self.scores_delivered} of {self.scores} scores" if self.scores else ""
        return f"{'not all accepted' if self.resolved else 'not delivered yet'} ({counts})"


def baseline(arguments: argparse.Namespace) -> int:
    """Run the baseline, read back, report; exit code 1 if the store does not show the run."""
    from ..simulation.workflows import BASELINE, run_baseline

    return _run(arguments, "baseline", BASELINE, run_baseline)


def workflow(arguments: argparse.Namespace) -> int:
    """Run any declared workflow, like the baseline."""
    from ..simulation.workflows import INCIDENT, ROUTES, run_workflow
    from .workflow_commands import NAMES

    name, severity = arguments.name, arguments.severity
    workflows = load_catalogue().workflows
    if name not in workflows:
        raise UsageProblem(
            f"unknown workflow {name!r:.80}; declared are {', '.join(sorted(workflows))}; "
            f"the commands are {', '.join(NAMES)}"
        )
    if severity is None:
        return _run(arguments, "workflow", name, lambda: run_workflow(name, workflows=workflows))
    if name != INCIDENT:
        raise UsageProblem(f"--severity is for {INCIDENT}, which it routes; {name} has none")
    if severity not in ROUTES:
        raise UsageProblem(f"unknown severity {severity!r:.80}; expected one of {', '.join(ROUTES)}")
    return _run(arguments, "workflow", name, lambda: run_workflow(name, severity=severity))


def _run(arguments: argparse.Namespace, command: str, name: str, run: Callable[[], WorkflowReport]) -> int:
    address = listen_address()
    endpoint = f"http://{address}/metrics".replace("//127.0.0.1:", "//localhost:")
    catalogue = load_catalogue()
    store = Store.locate()
    store.directory.ensure()
    before = store.read(catalogue)
    heard = listen()
    if not arguments.json:
        tell(store.note)
        say(f"running {name} (a simulated LLM: no service is called, nothing is billed)", flush=True)
    report = run()
    sent = _flush(report)
    after = store.read(catalogue)
    limits = _limits(report, after, catalogue)
    wrong = (
        []
        if _shows(report, before, after)
        else [f"{store.path} does not show this run: {heard[-1] if heard else 'its numbers did not change'}"]
    )
    where = [] if wrong else places(endpoint, store, report, after, _traces(report, sent))
    document: dict[str, Any] = {
        "workflow": report.workflow,
        "run_id": report.run_id,
        "trace_id": report.trace_id,
        "decision": report.decision,
        "seconds": round(report.seconds, 3),
        "tokens": report.tokens,
        "stages": [stage._asdict() for stage in report.stages],
        "budgets": {name: {**after.budgets[name]._asdict(), "limit": limit} for name, limit in limits.items()},
        "switches": [list(key) for key in _grown(before.switches, after.switches)],
        "store": str(store.path),
        "sent": [{**sink._asdict(), "complete": sink.complete} for sink in sent],
        "places": [place._asdict() for place in where],
        "notes": [store.note] if store.note else [],
        "problems": wrong + heard,
    }
    if arguments.json:
        print_json(document)
    else:
        _print(report, before, after, limits, where, sent)
        for line in heard:
            complain(f"hypertool {command}", line)
    if wrong:
        raise StoreUnavailable(wrong[0])
    if not all(stage.passed for stage in report.stages):
        raise HypertoolError(f"a quality gate of {name} failed")
    return 0


def _flush(report: WorkflowReport) -> list[Sent]:
    """Flush every configured sink; returns the deliveries that this process has counted."""
    from ..domain.instruments import EXPORT_SCORES, EXPORT_SPANS
    from ..metrics.collector import get_persona_metrics
    from ..sinks import langfuse, otlp
    from ..spans import span as spans

    def successes(metric: str, sink: str) -> int:
        return get_persona_metrics().recorder.counter(metric, sink, "success").value

    found = []
    until = time.monotonic() + FLUSH_SECONDS
    made, gates = 1 + 2 * len(report.stages), len(report.stages)
    collector, server = spans.sink(), spans.langfuse_sink()
    if collector is not None:
        resolved = collector.flush(FLUSH_SECONDS)
        found.append(Sent(otlp.NAME, otlp.endpoint(), resolved, made, successes(EXPORT_SPANS.key, otlp.NAME)))
    if server is not None:
        flushed = [sink.flush(max(0.0, until - time.monotonic())) for sink in (server, server.scores)]
        found.append(
            Sent(
                langfuse.NAME,
                redact(server.keys.base),
                all(flushed),
                made,
                successes(EXPORT_SPANS.key, langfuse.NAME),
                gates,
                successes(EXPORT_SCORES.key, langfuse.NAME),
            )
        )
    return found


def _limits(report: WorkflowReport, after: HostState, catalogue: Catalogue) -> dict[str, int]:
    """The run's budgets in tokens: a workflow may have its own."""
    budgets = {stage.persona: after.budgets[stage.persona] for stage in report.stages}
    return {
        name: catalogue.resolve(name).tokens_in(report.workflow) if budget.window == "run" else budget.limit
        for name, budget in budgets.items()
    }


def _print(
    report: WorkflowReport,
    before: HostState,
    after: HostState,
    limits: Mapping[str, int],
    where: list[Place],
    sent: list[Sent],
) -> None:
    stages = len(report.stages)
    say(f"run {report.run_id}: {stages} stages, {report.tokens} tokens, {report.seconds:.2f} s, {report.decision}\n")
    say("read back from the store (host total in brackets):" if stages else "recorded: nothing, no stage was run")
    for stage in report.stages:
        tokens = (stage.persona, stage.chatmode, stage.model)
        call = (stage.persona, stage.model, "success")
        gate = (report.workflow, stage.stage, "pass")
        timed = (report.workflow, stage.stage, stage.persona)
        left = after.budgets[stage.persona].remaining
        say(
            f"  {stage.stage:<19} {stage.persona:<20} {_change(before.requests, after.requests, call)} LLM call, "
            f"{_change(before.tokens, after.tokens, tokens)} tokens, "
            f"{_change(before.gates, after.gates, gate)} gate passed, "
            f"{_change(before.stages, after.stages, timed)} stage in {stage.seconds:.2f} s, "
            f"budget {left} of {limits[stage.persona]} left"
        )
    for key in _grown(before.switches, after.switches):
        say(f"  switch              {key[0]} -> {key[1]} ({key[2]}) {_change(before.switches, after.switches, key)}")
    say("\nsent:")
    made = f"{1 + 2 * stages} spans (the workflow, {stages} stages, {stages} LLM calls)"
    by_sink = {one.sink: f"to {one.to}: {one.outcome()}" for one in sent}
    if "otlp" in by_sink:
        say(f"  traces      {made} {by_sink['otlp']}")
    else:
        say("  traces      off; set OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 to send them there")
    if "langfuse" in by_sink:
        say(f"  Langfuse    the same spans, {stages} of them generations, and {stages} scores {by_sink['langfuse']}")
    else:
        say("  Langfuse    off; set LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY and LANGFUSE_HOST to turn it on")
    say("\nwhere it can be seen:")
    for place in where:
        say(f"  {place.what:<12}{place.url}  ({place.now})")
    sys.stdout.flush()


def _traces(report: WorkflowReport, sent: list[Sent]) -> list[Place]:
    return [
        Place(
            "Langfuse",
            f"{one.to}/trace/{report.trace_id}",
            "a few seconds from now" if one.delivered == one.spans else "not all of it is there",
        )
        for one in sent
        if one.sink == "langfuse" and report.trace_id is not None
    ]


def _shows(report: WorkflowReport, before: HostState, after: HostState) -> bool:
    """Whether at least this run was added; other processes may have added more."""
    for stage in report.stages:
        tokens = (stage.persona, stage.chatmode, stage.model)
        gate = (report.workflow, stage.stage, "pass" if stage.passed else "fail")
        timed = (report.workflow, stage.stage, stage.persona)
        if (
            after.tokens.get(tokens, 0) - before.tokens.get(tokens, 0) < stage.tokens
            or after.gates.get(gate, 0) <= before.gates.get(gate, 0)
            or after.stages.get(timed, 0) <= before.stages.get(timed, 0)
        ):
            return False
    return True


def _change(before: Mapping[Any, int], after: Mapping[Any, int], key: Any) -> str:
    total = after.get(key, 0)
    return f"+{total - before.get(key, 0)} ({total})"


def _grown(before: Mapping[Any, int], after: Mapping[Any, int]) -> list[Any]:
    return [key for key, value in after.items() if value > before.get(key, 0)]
