"""The programs of docs/examples/workflows run as they stand, and cost, pass and fail what their texts say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.hypertool_host import ROOT, Host
from tests.support.otlp_receiver import refused_url
from tests.unit.patterns.programs import gates, tokens

FOLDER = ROOT / "docs" / "examples" / "workflows"
BACKEND, FRONTEND, TESTING, DEVOPS, OBSERVABILITY = (
    "backend-engineer",
    "frontend-engineer",
    "testing-specialist",
    "devops-engineer",
    "observability-expert",
)
RELEASED = ("version_bump", "quality_validation", "build_artifact", "publish_deploy", "verify_installation")
BUILT = ("requirements", "api_design", "backend_implementation", "frontend_components")
READY = ("testing_validation", "performance", "release_readiness")


def example(host: Host, name: str, *arguments: str, code: int = 0) -> str:
    done = host.start([sys.executable, "-B", str(FOLDER / f"{name}.py"), *arguments], 60)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


def passed(*stages: str) -> dict[str, str]:
    return dict.fromkeys(stages, "1 pass")


@pytest.mark.parametrize(
    ("name", "used", "expected"),
    [
        ("sequential", {BACKEND: 800, TESTING: 300}, {"api_design": "1 pass", "design_review": "1 fail"}),
        (
            "parallel",
            {BACKEND: 400, FRONTEND: 300, TESTING: 200, DEVOPS: 150},
            passed("review_security", "review_usability", "review_coverage", "join"),
        ),
        ("retry", {OBSERVABILITY: 360}, {"investigation": "1 pass", "investigation.attempt": "1 pass, 2 fail"}),
        (
            "cache",
            {OBSERVABILITY: 500},
            passed("investigation", "investigation.miss", "implement_fix", "implement_fix.hit"),
        ),
        (
            "complex",
            {OBSERVABILITY: 3 * 20 + 2 * 300 + 3 * 100},
            {
                **passed("triage", "answer"),
                **dict.fromkeys(("triage.route", "triage.hard", "triage.small"), "3 pass"),
                "triage.large": "3 fail",
                "triage.call": "2 fail",
                "triage.tripped": "1 fail",
                "triage.refused": "1 fail",
            },
        ),
    ],
)
def test_pattern(host: Host, name: str, used: dict[str, int], expected: dict[str, str]) -> None:
    assert example(host, name)
    assert tokens(host) == used
    assert gates(host) == expected


def test_release_passes_five_gates(host: Host) -> None:
    assert example(host, "package_release") == "released 1.3.0\n"
    assert gates(host) == passed(*RELEASED)
    assert tokens(host) == {BACKEND: 850 + 200, TESTING: 650 + 300, DEVOPS: 550}
    assert {key[1] for key in host.counters("tok")} == {"package-release"}


@pytest.mark.parametrize(
    ("broken", "stage"),
    list(zip(("version", "tests", "artifact", "publication", "installation"), RELEASED, strict=True)),
)
def test_release_stops_at_a_broken_gate(host: Host, broken: str, stage: str) -> None:
    """The stage fails, nothing after it runs, and the exit code says so."""
    assert f"the gate of stage '{stage}' failed" in example(host, "package_release", "--break", broken, code=1)
    assert gates(host) == {**passed(*RELEASED[: RELEASED.index(stage)]), stage: "1 fail"}


@pytest.mark.parametrize("bugs", [0, 1, 3])
def test_feature_passes_seven_gates(host: Host, bugs: int) -> None:
    """A wrong version goes back to the developer and is paid for; the third one ends the workflow."""
    said = example(host, "feature_development", "--bugs", str(bugs), code=bugs >= 3)
    attempts = "1 pass" if bugs == 0 else f"1 pass, {bugs} fail" if bugs < 3 else "3 fail"
    ended = passed(*READY) if bugs < 3 else {"testing_validation": "1 fail"}
    assert said.startswith("ready, by backend-engineer" if bugs < 3 else "not ready: wrong for")
    assert gates(host) == {**passed(*BUILT), **ended, "testing_validation.attempt": attempts}
    assert tokens(host)[TESTING] == 300 + 200 * min(bugs + 1, 3)
    assert (tokens(host)[BACKEND], tokens(host)[FRONTEND]) == (800 + 500, 900)


def test_incident_without_prometheus(host: Host) -> None:
    """On a machine without the stack, the responder says in one line what does not answer; the timeline is written."""
    program = ROOT / "docs/examples/incident_response/respond.py"
    dead = refused_url()
    done = host.start([sys.executable, "-B", str(program), "--prometheus", dead, "--alertmanager", dead], 60)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert done.stderr.startswith(f"respond.py: {dead} does not answer as expected (")
    assert "ShopOrdersFail" in (host.work / "incident.md").read_text()


def test_every_example_is_in_its_readme() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    files: list[Path] = [path for path in FOLDER.iterdir() if path.is_file()]
    assert [path.name for path in files if path.name not in text] == ["README.md"]
