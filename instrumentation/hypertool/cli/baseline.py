"""`hypertool baseline`: run the baseline workflow, then show what of it is in the store, and where to look."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..catalogue import load_catalogue
from ..errors import HypertoolError, StoreUnavailable
from ..ports import parse_address
from ..store import Store
from ..store.facade import HostState
from .output import complain, listen, print_json
from .persona import tell

PROBE_SECONDS = 0.3
DEFAULT_LISTEN = "127.0.0.1:9464"


class Place(NamedTuple):
    """Where the run can be seen; `now` says what is found there at this moment."""

    what: str
    url: str
    now: str


def baseline(arguments: argparse.Namespace) -> int:
    """Run, read back, report; exit code 1 where the store does not show what was run."""
    from .. import spans
    from ..declared import WORKFLOWS
    from ..sinks import otlp
    from ..workflows import BASELINE, run_baseline

    address = parse_address(os.environ.get("HYPERTOOL_LISTEN") or DEFAULT_LISTEN, "HYPERTOOL_LISTEN")
    endpoint = f"http://{address}/metrics".replace("//127.0.0.1:", "//localhost:")
    catalogue = load_catalogue()
    store = Store.locate()
    store.directory.ensure()
    before = store.read(catalogue)
    heard = listen()
    if not arguments.json:
        tell(store.note)
        stages = WORKFLOWS[BASELINE].stages
        print(f"running {BASELINE} ({len(stages)} stages, a simulated LLM: nobody is called, nothing is billed)",
              flush=True)
    report = run_baseline()
    sink = spans.sink()
    delivered = sink.flush(3.0) if sink is not None else None
    after = store.read(catalogue)
    wrong = [] if _shows(report, before, after) else [
        f"{store.path} does not show this run: {heard[-1] if heard else 'its numbers did not change'}"]
    places = [] if wrong else _places(endpoint, store, report, after)
    document: dict[str, Any] = {
        "workflow": report.workflow, "run_id": report.run_id, "seconds": round(report.seconds, 3),
        "tokens": report.tokens, "stages": [stage._asdict() for stage in report.stages],
        "budgets": {s.persona: after.budgets[s.persona]._asdict() for s in report.stages},
        "switches": [list(key) for key in _grown(before.switches, after.switches)],
        "store": str(store.path), "spans_delivered": delivered,
        "places": [place._asdict() for place in places], "notes": [store.note] if store.note else [],
        "problems": wrong + heard,
    }
    if arguments.json:
        print_json(document)
    else:
        _print(report, before, after, places, otlp.endpoint() if sink is not None else None, delivered)
        for line in heard:
            complain("hypertool baseline", line)
    if wrong:
        raise StoreUnavailable(wrong[0])
    if not all(stage.passed for stage in report.stages):
        raise HypertoolError("a quality gate of the baseline failed")
    return 0


def _print(report: Any, before: HostState, after: HostState, places: list[Place], endpoint: str | None,
           delivered: bool | None) -> None:
    print(f"run {report.run_id}: {len(report.stages)} stages, {report.tokens} tokens, {report.seconds:.2f} s\n")
    print("read back from the store (host total in brackets):")
    for stage in report.stages:
        tokens = (stage.persona, stage.chatmode, stage.model)
        gate = (report.workflow, stage.stage, "pass")
        timed = (report.workflow, stage.stage, stage.persona)
        budget = after.budgets[stage.persona]
        print(f"  {stage.stage:<19} {stage.persona:<19} {_change(before.tokens, after.tokens, tokens)} tokens, "
              f"{_change(before.gates, after.gates, gate)} gate passed, "
              f"{_change(before.stages, after.stages, timed)} stage in {stage.seconds:.2f} s, "
              f"budget {budget.remaining} of {budget.limit} left")
    for key in _grown(before.switches, after.switches):
        print(f"  switch              {key[0]} -> {key[1]} ({key[2]}) {_change(before.switches, after.switches, key)}")
    if endpoint is None:
        print("  spans               none; OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 would send them there")
    else:
        sent = "delivered" if delivered else "not delivered yet"
        print(f"  spans               {len(report.stages) + 1} to {endpoint}: {sent}")
    print("\nwhere it can be seen:")
    for place in places:
        print(f"  {place.what:<12}{place.url}  ({place.now})")
    sys.stdout.flush()


def _shows(report: Any, before: HostState, after: HostState) -> bool:
    """Whether at least this run was added; other processes of the host may have added more."""
    for stage in report.stages:
        tokens = (stage.persona, stage.chatmode, stage.model)
        gate = (report.workflow, stage.stage, "pass" if stage.passed else "fail")
        timed = (report.workflow, stage.stage, stage.persona)
        if after.tokens.get(tokens, 0) - before.tokens.get(tokens, 0) < stage.tokens \
                or after.gates.get(gate, 0) <= before.gates.get(gate, 0) \
                or after.stages.get(timed, 0) <= before.stages.get(timed, 0):
            return False
    return True


def _change(before: Mapping[Any, int], after: Mapping[Any, int], key: Any) -> str:
    total = after.get(key, 0)
    return f"+{total - before.get(key, 0)} ({total})"


def _grown(before: Mapping[Any, int], after: Mapping[Any, int]) -> list[Any]:
    return [key for key, value in after.items() if value > before.get(key, 0)]


def _places(endpoint: str, store: Store, report: Any, after: HostState) -> list[Place]:
    found = [
        ("Prometheus", 9090, "http://localhost:9090/graph?g0.expr=hypertool_persona_tokens_used_total&g0.tab=1"),
        ("alerts", 9090, "http://localhost:9090/alerts"),
        ("Grafana", 3000, "http://localhost:3000/d/hypertool-persona-overview"),
        ("Grafana", 3000, "http://localhost:3000/d/hypertool-workflow-performance"),
    ]
    now = {port: "answers" if _listens(port) else "nobody listens there now" for _, port, _ in found}
    return [Place("metrics", endpoint, _endpoint_now(endpoint, store, report, after)),
            *(Place(what, url, now[port]) for what, port, url in found)]


def _endpoint_now(endpoint: str, store: Store, report: Any, after: HostState) -> str:
    """What the host's endpoint says of the run's tokens: it may serve another store than this user's."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    try:
        with build_opener(ProxyHandler({})).open(endpoint, timeout=2.0) as answer:
            served = answer.read(5_000_000).decode("utf-8", "replace").splitlines()
    except (OSError, HTTPException) as error:
        return "nobody listens there now" if "refused" in str(error) else f"does not answer: {error}"
    later = store.read()  # other processes count on meanwhile
    for stage in report.stages:
        key = (stage.persona, stage.chatmode, stage.model)
        labels = f'chatmode="{stage.chatmode}",model="{stage.model}",persona="{stage.persona}"'
        want = f"hypertool_persona_tokens_used_total{{{labels}}} "
        values = [float(line[len(want):].split()[0]) for line in served if line.startswith(want)]
        if not values or not after.tokens[key] <= values[0] <= later.tokens[key]:
            return "does not show this run: it serves another state directory"
    return "shows this run"


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_SECONDS):
            return True
    except OSError:
        return False
