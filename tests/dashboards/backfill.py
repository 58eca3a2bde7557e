"""Plays hosts whose agents run, are purged, or go unscraped, and writes what Prometheus would have scraped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.personas import BUDGETS

#: A series of the exporter: its name and its labels without `job` and `instance`.
Key = tuple[str, tuple[tuple[str, str], ...]]
State = dict[Key, float]
Event = Callable[[State], None]

#: The baseline first, and one more that is declared but never run, as on a real host.
DECLARED = {
    "package_release": (
        ("version_bump", "backend-engineer", 850),
        ("quality_validation", "testing-specialist", 650),
        ("publish_deploy", "devops-engineer", 550),
    ),
    "bug_fix": (
        ("investigation", "observability-expert", 800),
        ("implement_fix", "backend-engineer", 900),
        ("testing_validation", "testing-specialist", 600),
    ),
}
STAGE_LE = ("0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "600.0", "1800.0", "3600.0", "+Inf")
CALL_LE = ("0.32", "0.64", "1.28", "2.56", "5.12", "10.24", "20.48", "40.96", "81.92", "+Inf")
CHUNK_LE = ("0.1", "0.25", "0.5", "1.0", "2.0", "5.0", "10.0", "30.0", "60.0", "+Inf")
PERSONA_LE = ("0.1", *STAGE_LE)
STAGE = "hypertool_workflow_stage_duration_seconds"
GATE = "hypertool_workflow_quality_gate_total"


def key(name: str, **labels: str) -> Key:
    return name, tuple(labels.items())


def fresh() -> State:
    """What an exporter with an empty store serves."""
    state: State = {key("hypertool_build_info", version="0.1.0"): 1, key("up"): 1}
    state[key("hypertool_store_unreadable_files")] = 0
    state[key("hypertool_store_quarantined_files")] = 0
    for label in ("chatmode", "model", "stage", "workflow"):
        state[key("hypertool_label_overflow_total", label=label)] = 0
    for persona, tokens in BUDGETS.items():
        state[key("hypertool_persona_token_budget_limit", persona=persona)] = tokens
        state[key("hypertool_persona_token_budget_remaining", persona=persona)] = tokens
    for workflow, stages in DECLARED.items():
        for stage, persona, _ in stages:
            observe(state, STAGE, STAGE_LE, None, workflow=workflow, stage=stage, persona=persona)
            for result in ("pass", "fail"):
                state[key(GATE, workflow=workflow, stage=stage, result=result)] = 0
    return state


def add(state: State, name: str, amount: float, **labels: str) -> None:
    """Count something; a series that is not there is born with this value."""
    series = key(name, **labels)
    state[series] = state.get(series, 0) + amount


def observe(state: State, name: str, bounds: Iterable[str], seconds: float | None, **labels: str) -> None:
    """Count one duration; None only makes the series exist, at 0."""
    for bound in bounds:
        add(state, f"{name}_bucket", float(seconds is not None and seconds <= float(bound)), **labels, le=bound)
    add(state, f"{name}_count", float(seconds is not None), **labels)
    add(state, f"{name}_sum", seconds or 0.0, **labels)


def stage_run(workflow: str, stage: str, persona: str, seconds: float, result: str = "pass") -> Event:
    def event(state: State) -> None:
        observe(state, STAGE, STAGE_LE, seconds, workflow=workflow, stage=stage, persona=persona)
        add(state, GATE, 1, workflow=workflow, stage=stage, result=result)

    return event


def gate_only(workflow: str, stage: str, result: str) -> Event:
    """A gate without a duration: a stage whose process died."""
    return lambda state: add(state, GATE, 1, workflow=workflow, stage=stage, result=result)


def baseline(state: State) -> None:
    """One run of package_release: it takes 1.2 s and so falls between two scrapes."""
    before = "none"
    for stage, persona, tokens in DECLARED["package_release"]:
        chatmode = "package-release"
        stage_run("package_release", stage, persona, 0.4)(state)
        add(state, "hypertool_persona_switches_total", 1, from_persona=before, to_persona=persona, chatmode=chatmode)
        add(state, "hypertool_persona_tokens_used_total", tokens, persona=persona, chatmode=chatmode, model="simulated")
        observe(state, "hypertool_persona_duration_seconds", PERSONA_LE, 0.4, persona=persona, chatmode=chatmode)
        state[key("hypertool_persona_token_budget_remaining", persona=persona)] = BUDGETS[persona] - tokens
        llm_call(state, persona, "simulated", {"input": tokens // 4, "output": tokens - tokens // 4}, 0.4)
        before = persona


def llm_call(
    state: State, persona: str, model: str, tokens: Mapping[str, int], seconds: float, usd: float = 0.0, **more: str
) -> None:
    """One call of a model; `more` may name its outcome, and the seconds to the `first_chunk` of a stream."""
    who = {"persona": persona, "model": model}
    add(state, "hypertool_llm_requests_total", 1, **who, outcome=more.get("outcome", "success"))
    add(state, "hypertool_llm_cost_usd_total", usd, **who)
    for kind, number in tokens.items():
        add(state, "hypertool_llm_tokens_total", number, **who, kind=kind)
    observe(state, "hypertool_llm_request_duration_seconds", CALL_LE, seconds, **who)
    if "first_chunk" in more:
        observe(state, "hypertool_llm_time_to_first_chunk_seconds", CHUNK_LE, float(more["first_chunk"]), **who)


def purge(state: State) -> None:
    state.clear()
    state.update(fresh())


@dataclass(frozen=True)
class Host:
    """One scraped exporter. Times are seconds before the end of all data; `down` lists when nothing is scraped."""

    instance: str
    scrape: int
    born: float
    events: Sequence[tuple[float, Event]] = ()
    down: Sequence[tuple[float, float]] = ()
    start: Callable[[], State] = field(default=fresh)


def scrape(host: Host, end: float) -> Iterator[tuple[Key, float, float]]:
    """Every sample of a host as (series, value, time)."""
    state = host.start()
    pending = sorted(host.events, key=lambda event: -event[0])
    moment = end - host.born
    while moment <= end:
        while pending and end - pending[0][0] <= moment:
            pending.pop(0)[1](state)
        if not any(end - first <= moment < end - last for first, last in host.down):
            for series, value in state.items():
                yield series, value, moment
        moment += host.scrape


def openmetrics(hosts: Iterable[Host], end: float) -> Iterator[str]:
    """The samples in the text form that promtool turns into blocks."""
    for host in hosts:
        for (name, labels), value, moment in scrape(host, end):
            pairs = "".join(f',{label}="{text}"' for label, text in labels)
            yield f'{name}{{job="hypertool",instance="{host.instance}"{pairs}}} {value:g} {moment:.3f}\n'
    yield "# EOF\n"


def true_count(times: Sequence[float], values: Sequence[float], start: float, end: float) -> float | None:
    """What a series with these samples grew by in a window, by definition; None if it has no sample in it."""
    last = bisect_right(times, end) - 1
    if last < 0 or times[last] <= start:
        return None
    first = bisect_right(times, start) - 1
    return values[last] - (values[first] if first >= 0 else 0)


def samples_of(host: Host, end: float) -> Mapping[Key, tuple[list[float], list[float]]]:
    """The samples of each series of a host, as times and values."""
    found: dict[Key, tuple[list[float], list[float]]] = {}
    for series, value, moment in scrape(host, end):
        times, values = found.setdefault(series, ([], []))
        times.append(moment)
        values.append(value)
    return found
