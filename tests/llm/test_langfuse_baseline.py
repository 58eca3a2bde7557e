"""The baseline in Langfuse: one trace a run, three generations in their stages, personas as users, gates as scores."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver
from tests.support.langfuse_server import LangfuseServer
from tests.support.otlp_receiver import refused_url

STAGES = {
    "version_bump": ("backend-engineer", 850),
    "quality_validation": ("testing-specialist", 650),
    "publish_deploy": ("devops-engineer", 550),
}
# Part of what is promised: the id of a score follows from what it is about.
SCORES = uuid.UUID("7d1f4e2e-6f0b-5c43-9a2f-0f3f0d7c9b11")


def test_run_is_one_trace_with_three_generations(host: Host, langfuse: LangfuseReceiver) -> None:
    """A run is one trace with three generations, each in its stage."""
    done = host.hypertool("baseline", "--json", **langfuse.environment)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    langfuse.wait(7)
    assert {one.trace_id for one in langfuse.observations} == {report["trace_id"]}
    assert {one.session for one in langfuse.observations} == {report["run_id"]}
    assert {one.trace_name for one in langfuse.observations} == {"workflow.package_release"}
    assert {tuple(one.tags) for one in langfuse.observations} == {("package-release", "package_release")}
    root = langfuse.observation("workflow.package_release")
    assert (root.parent_id, root.type, root.user) == ("", "SPAN", None)
    calls = {one.parent_id: one for one in langfuse.generations()}
    assert len(calls) == 3
    for stage, (persona, tokens) in STAGES.items():
        span = langfuse.observation(f"stage.{stage}")
        call = calls[span.id]
        assert (span.parent_id, span.user, span.type) == (root.id, persona, "SPAN")
        assert (call.name, call.user, call.model) == ("chat simulated", persona, "simulated")
        assert call.usage == {"input": tokens // 4, "output": tokens - tokens // 4}
        assert call.cost == {"total": 0}, "nobody bills it, and the server does not guess a price"
        assert (call.level, call.input, call.output) == ("DEFAULT", None, None)
    assert sum(sum(one.usage.values()) for one in langfuse.observations) == 2050
    assert [place["url"] for place in report["places"] if place["what"] == "Langfuse"] == [
        f"{langfuse.url}/trace/{report['trace_id']}"
    ]


def test_gates_are_three_scores_with_derived_ids(host: Host, langfuse: LangfuseReceiver) -> None:
    """The gates are three scores, whose ids are derived from what they score."""
    host.hypertool("baseline", **langfuse.environment)
    langfuse.wait(7)
    scores = {score["id"]: score for score in langfuse.wait_for_scores(3)}
    stages = [langfuse.observation(f"stage.{stage}") for stage in STAGES]
    wanted = {str(uuid.uuid5(SCORES, f"{one.trace_id}:{one.id}:quality_gate")): one for one in stages}
    assert scores.keys() == wanted.keys()
    for identity, stage in wanted.items():
        score = scores[identity]
        assert (score["traceId"], score["observationId"]) == (stage.trace_id, stage.id)
        assert (score["name"], score["value"], score["dataType"]) == ("quality_gate", 1, "BOOLEAN")


def test_two_runs_are_two_traces_and_two_sessions(host: Host, langfuse: LangfuseReceiver) -> None:
    for _ in range(2):
        host.hypertool("workflow", "bug_fix", **langfuse.environment)
    langfuse.wait(14)
    assert len({one.trace_id for one in langfuse.observations}) == 2
    assert len({one.session for one in langfuse.observations}) == 2
    modes = {(one.user, *one.tags) for one in langfuse.generations()}
    assert modes == {
        ("observability-expert", "bug-investigation", "bug_fix"),
        ("backend-engineer", "bug-fix", "bug_fix"),
        ("testing-specialist", "bug-validation", "bug_fix"),
    }


def test_baseline_says_what_langfuse_got(host: Host, langfuse: LangfuseReceiver) -> None:
    """The baseline says what Langfuse received and where it is shown."""
    text = host.hypertool("baseline", **langfuse.environment).stdout
    assert f"3 of them generations, and 3 scores to {langfuse.url}: delivered" in text
    assert re.search(rf"Langfuse +{langfuse.url}/trace/[0-9a-f]{{32}} ", text)
    assert "LANGFUSE_SECRET_KEY" in host.hypertool("baseline").stdout, "without keys it says which ones turn it on"


def test_refused_baseline_is_not_called_delivered(host: Host, langfuse: LangfuseReceiver) -> None:
    """The baseline does not call delivered what the server refused."""
    done = host.hypertool("baseline", **{**langfuse.environment, "LANGFUSE_SECRET_KEY": "sk-lf-of-another-project"})
    assert done.returncode == 0, "the run itself is good"
    assert "not all accepted (0 of 7 spans and 0 of 3 scores)" in done.stdout
    assert "answered 401" in done.stderr


def test_scores_refused_in_a_207_are_reported_once(host: Host, langfuse: LangfuseReceiver) -> None:
    """Scores that the server refuses inside a 207 answer are reported once."""
    langfuse.refuse_scores = True
    done = host.hypertool("baseline", **langfuse.environment)
    assert done.returncode == 0
    assert "7 of 7 spans and 0 of 3 scores" in done.stdout
    lines = [line for line in done.stderr.splitlines() if "scores" in line]
    assert len(lines) == 1, done.stderr
    assert "refused" in lines[0]
    assert "400 no such trace" in lines[0]
    assert langfuse.score_posts == 3, "what was refused for good is not sent again"
    assert host.counters("sco") == {("langfuse", "failure"): 3}
    assert host.counters("exp") == {("langfuse", "success"): 7}, "the spans are another matter"


def test_scores_are_counted_whatever_becomes_of_them(host: Host, langfuse: LangfuseReceiver) -> None:
    host.hypertool("baseline", **langfuse.environment)
    assert host.counters("sco") == {("langfuse", "success"): 3}
    away = {**langfuse.environment, "LANGFUSE_HOST": refused_url()}
    assert host.hypertool("baseline", **away).returncode == 0
    assert host.counters("sco") == {("langfuse", "success"): 3, ("langfuse", "dropped"): 3}


def test_parameters_and_version_reach_langfuse(host: Host, langfuse: LangfuseReceiver) -> None:
    """Parameters, environment and version reach the observation."""
    done = host.python(
        """
        from hypertool import ObservableLLM
        from hypertool.spans import span as spans
        ObservableLLM(lambda text, **rest: {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
                      "house-model")("x", temperature=0.5, max_tokens=20)
        assert spans.langfuse_sink().flush(20)
    """,
        **langfuse.environment,
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=staging,service.version=1.2",
    )
    assert done.returncode == 0, done.stderr
    langfuse.wait(1)
    (call,) = langfuse.generations()
    assert call.parameters == {"temperature": 0.5, "max_tokens": 20}
    assert (call.environment, call.version) == ("staging", "1.2")
    assert (call.user, call.session, call.tags, call.cost) == ("unknown", None, ["default"], {})


@pytest.mark.timeout(300)
def test_a_real_server_shows_the_run(host: Host) -> None:
    server = LangfuseServer.from_environment()
    report = json.loads(host.hypertool("baseline", "--json", **server.environment).stdout)
    assert [sink["complete"] for sink in report["sent"]] == [True], report
    stored = server.wait_for(report["trace_id"], observations=7, scores=3)
    by_id = {one["id"]: one for one in stored.observations}
    calls = [one for one in stored.observations if one["type"] == "GENERATION"]
    assert {by_id[one["parentObservationId"]]["name"] for one in calls} == {f"stage.{stage}" for stage in STAGES}
    assert {one["sessionId"] for one in stored.observations} == {report["run_id"]}
    for call in calls:
        persona, tokens = STAGES[by_id[call["parentObservationId"]]["name"].removeprefix("stage.")]
        assert call.get("userId", persona) == persona, "servers before 4 keep one user for the whole trace"
        assert (call["usageDetails"]["input"], call["usageDetails"]["output"]) == (tokens // 4, tokens - tokens // 4)
        assert set(call["tags"]) >= {"package_release", "package-release"}
    stages = [one for one in stored.observations if one["name"].startswith("stage.")]
    assert {score["id"] for score in stored.scores} == {
        str(uuid.uuid5(SCORES, f"{report['trace_id']}:{one['id']}:quality_gate")) for one in stages
    }
