"""The declared workflows, run for real with the simulated LLM."""

from __future__ import annotations

import pytest

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.personas import BUDGETS

FAST = """
import json, sys
from hypertool.simulation.llm import SimulatedLLM
from hypertool.simulation.workflows import run_workflow
report = run_workflow(*sys.argv[1:2] or ["NAME"], llm=SimulatedLLM(0.0), **OPTIONS)
print(json.dumps({"decision": report.decision, "tokens": report.tokens, "passed": [s.passed for s in report.stages]}))
"""


def fast(host: Host, name: str, **options: str) -> dict[str, object]:
    found: dict[str, object] = host.json(FAST.replace("NAME", name).replace("OPTIONS", repr(options)))
    return found


def used(host: Host) -> dict[tuple[str, ...], int]:
    return host.counters("tok")


@pytest.mark.predecessor("D4", "D7")
def test_baseline_duration_and_budgets(host: Host) -> None:
    """The baseline takes a good second and leaves the promised budgets."""
    with OtlpReceiver() as receiver:
        report = host.json(
            """
            import json
            from hypertool.simulation.workflows import run_baseline
            report = run_baseline()
            print(json.dumps([report.seconds, report.tokens]))
        """,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        )
        spans = {span.span_id: span for span in receiver.wait(7)}
    seconds, tokens = report
    assert 1.2 <= seconds < 2.4
    assert tokens == 2050
    assert used(host) == {
        ("backend-engineer", "package-release", "simulated"): 850,
        ("testing-specialist", "package-release", "simulated"): 650,
        ("devops-engineer", "package-release", "simulated"): 550,
    }
    budgets = host.read().budgets
    assert {name: budget.remaining for name, budget in budgets.items()} == {
        **BUDGETS,
        "backend-engineer": 1150,
        "testing-specialist": 850,
        "devops-engineer": 1250,
    }
    assert host.counters("qg") == {
        ("package_release", stage, "pass"): 1 for stage in ("version_bump", "quality_validation", "publish_deploy")
    }
    assert host.counters("sw") == {
        ("none", "backend-engineer", "package-release"): 1,
        ("backend-engineer", "testing-specialist", "package-release"): 1,
        ("testing-specialist", "devops-engineer", "package-release"): 1,
    }
    assert host.counters("llm") == {
        (persona, "simulated", "success"): 1
        for persona in ("backend-engineer", "testing-specialist", "devops-engineer")
    }
    assert {key: count for key, (count, _) in host.durations("lld").items()} == {
        (persona, "simulated"): 1 for persona in ("backend-engineer", "testing-specialist", "devops-engineer")
    }
    assert host.counters("usd") == host.counters("miss") == {}, "it costs nothing, and nothing is missing"
    (root,) = [span for span in spans.values() if span.name == "workflow.package_release"]
    stages = [span for span in spans.values() if span.parent_id == root.span_id]
    assert sorted(span.name for span in stages) == [
        "stage.publish_deploy",
        "stage.quality_validation",
        "stage.version_bump",
    ]
    calls = {spans[span.parent_id].name: span.attributes for span in spans.values() if span.name == "chat simulated"}
    assert {
        name: (call["gen_ai.agent.name"], call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"])
        for name, call in calls.items()
    } == {
        "stage.version_bump": ("backend-engineer", 212, 638),
        "stage.quality_validation": ("testing-specialist", 162, 488),
        "stage.publish_deploy": ("devops-engineer", 137, 413),
    }
    assert {call["hypertool.cost_usd"] for call in calls.values()} == {0}


def test_the_baseline_says_nothing_of_prices(host: Host) -> None:
    done = host.python("from hypertool.simulation.workflows import run_baseline; run_baseline()")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_feature_implementation_uses_what_is_declared(host: Host) -> None:
    assert fast(host, "feature_implementation")["passed"] == [True] * 3
    mode = "feature-implementation"
    assert used(host) == {
        ("backend-engineer", mode, "simulated"): 800,
        ("frontend-engineer", mode, "simulated"): 900,
        ("testing-specialist", mode, "simulated"): 700,
    }


def test_bug_fix_has_a_chatmode_for_each_stage(host: Host) -> None:
    fast(host, "bug_fix")
    assert used(host) == {
        ("observability-expert", "bug-investigation", "simulated"): 800,
        ("backend-engineer", "bug-fix", "simulated"): 900,
        ("testing-specialist", "bug-validation", "simulated"): 600,
    }
    assert {key: count for key, (count, _) in host.durations("pd").items()} == {
        ("observability-expert", "bug-investigation"): 1,
        ("backend-engineer", "bug-fix"): 1,
        ("testing-specialist", "bug-validation"): 1,
    }


@pytest.mark.parametrize(
    ("severity", "decision", "stages"),
    [
        ("p0_critical", "escalated", []),
        ("p1_high", "resolved", ["investigation", "hotfix", "deploy"]),
        ("p2_medium", "fixed", ["investigation", "hotfix"]),
        ("p3_low", "ticket", []),
    ],
)
def test_an_incident_is_routed_by_its_severity(host: Host, severity: str, decision: str, stages: list[str]) -> None:
    tokens = {"investigation": 1820, "hotfix": 1850, "deploy": 1640}
    report = fast(host, "incident_response", severity=severity)
    assert report["decision"] == decision
    assert report["tokens"] == sum(tokens[stage] for stage in stages)
    assert host.counters("qg") == {("incident_response", stage, "pass"): 1 for stage in stages}


def test_other_budgets_and_a_blocked_run(host: Host) -> None:
    """Other budgets leave other remainders, and a block stops the run before the call."""
    host.config.write_text(
        "[personas.backend-engineer]\ntokens = 500\n"
        '[personas.testing-specialist]\ntokens = 100\non_exceed = "block"\nwindow = "day"\n'
    )
    fast(host, "package_release")
    left = host.json("""
        import json
        from hypertool.store.store import Store
        print(json.dumps({name: budget.remaining for name, budget in Store.locate().read().budgets.items()}))
    """)
    assert (left["backend-engineer"], left["testing-specialist"], left["devops-engineer"]) == (-350, -550, 1250)
    done = host.python(FAST.replace("NAME", "package_release").replace("OPTIONS", "{}"))
    assert done.returncode == 1
    assert "TokenBudgetExceeded" in done.stderr
    assert used(host)["testing-specialist", "package-release", "simulated"] == 650, "the second call was not made"
    assert host.counters("qg")["package_release", "quality_validation", "fail"] == 1


def test_unknown_names_say_what_is_known(host: Host) -> None:
    for name, options, expected in (("nope", {}, "bug_fix"), ("incident_response", {"severity": "p9"}, "p1_high")):
        done = host.python(FAST.replace("NAME", name).replace("OPTIONS", repr(options)))
        assert "ValueError" in done.stderr
        assert expected in done.stderr
