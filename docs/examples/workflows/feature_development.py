"""Feature development with seven gates: two personas build in parallel, and failed tests go back to the developer.

`python feature_development.py [--bugs N]`: the first N versions of the code are wrong (default 1; from 3 on the
workflow gives up).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from llm import ask
from tenacity import stop_after_attempt, wait_none

from hypertool import QualityGateFailed, WorkflowTracer
from hypertool.patterns import SharedMemory, Task, parallel, retried, sequential

CRITERIA = {"Café au lait": "cafe-au-lait", "  two  words ": "two-words", "": "untitled"}
WRONG = "def slug(title):\n    return '-'.join(title.lower().split())\n"
RIGHT = """
import unicodedata
def slug(title):
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return "-".join(plain.lower().split()) or "untitled"
"""


def verdict(passed: bool, reason: str, **result: Any) -> dict[str, Any]:
    """What closes a gate, and what the next stage gets."""
    return {**result, "quality_gate_passed": passed, "quality_gate_reason": "" if passed else reason}


def compiled(code: str) -> Callable[[str], str]:
    """The function that the code defines."""
    names: dict[str, Any] = {}
    exec(compile(code, "slug.py", "exec"), names)
    function: Callable[[str], str] = names["slug"]
    return function


class Feature:
    """Links with readable addresses: what each persona contributes, and what the next one needs of it."""

    def __init__(self, bugs: int) -> None:
        self.bugs = bugs
        self.memory = SharedMemory()

    def requirements(self, _: object) -> dict[str, Any]:
        """Gate 1: every criterion can be tested."""
        ask("acceptance criteria for readable addresses", 300)
        self.memory.remember("criteria", CRITERIA)
        return verdict(all(isinstance(wanted, str) for wanted in CRITERIA.values()), "a criterion cannot be tested")

    def api_design(self, _: object) -> dict[str, Any]:
        """Gate 2: the schema is valid and names what goes in and what comes out."""
        ask("design the interface", 800)
        schema = json.loads('{"input": {"title": "string"}, "output": {"slug": "string"}}')
        self.memory.remember("schema", schema)
        return verdict({"input", "output"} <= schema.keys(), "the schema has no input or no output")

    def backend(self, _: object) -> dict[str, Any]:
        """Gate 3: the code compiles and defines the function."""
        ask("write the function", 500)
        self.memory.remember("code", WRONG if self.bugs else RIGHT)
        return verdict(callable(compiled(self.memory.recall("code"))), "there is no function")

    def frontend_components(self, _: object) -> dict[str, Any]:
        """Gate 4: the form has a field for everything that goes in."""
        ask("write the form", 900)
        form = '<form><input name="title"></form>'
        missing = [name for name in self.memory.recall("schema")["input"] if f'name="{name}"' not in form]
        return verdict(not missing, f"the form lacks {missing}")

    def testing_validation(self, _: object) -> dict[str, Any]:
        """Gate 5: every criterion holds. A failure goes back to the developer, twice at most."""
        retried(stop=stop_after_attempt(3), wait=wait_none())(self.test_or_repair)()
        return verdict(True, "")

    def test_or_repair(self) -> None:
        ask("test the criteria", 200)
        slug = compiled(self.memory.recall("code"))
        failed = [title for title, wanted in self.memory.recall("criteria").items() if slug(title) != wanted]
        if failed:
            self.bugs -= 1
            self.memory.remember("code", WRONG if self.bugs > 0 else RIGHT)
            raise AssertionError(f"wrong for {failed}")

    def performance(self, _: object) -> dict[str, Any]:
        """Gate 6: it is fast enough."""
        ask("what is the slowest case?", 300)
        slug, began = compiled(self.memory.recall("code")), time.perf_counter()
        for _ in range(1000):
            slug("Café au lait")
        taken = time.perf_counter() - began
        return verdict(taken < 5, f"1000 titles took {taken:.1f} s")

    def release_readiness(self, _: object) -> dict[str, Any]:
        """Gate 7: everything that a release needs is written down."""
        ask("write the release note", 300)
        missing = {"criteria", "schema", "code"} - {entry.key for entry in self.memory.entries()}
        return verdict(not missing, f"nobody wrote {sorted(missing)}", contributors=self.contributors())

    def contributors(self) -> list[str]:
        """The personas that wrote into the memory."""
        return sorted({entry.persona for entry in self.memory.entries()})


def develop(bugs: int = 1) -> str:
    """Run the workflow; what came of it."""
    feature = Feature(bugs)
    with WorkflowTracer("feature_implementation", {"chatmode": "feature-implementation"}) as workflow:
        try:
            sequential(
                workflow,
                [
                    Task("requirements", "testing-specialist", feature.requirements),
                    Task("api_design", "backend-engineer", feature.api_design),
                ],
            )
            parallel(
                workflow,
                [
                    Task("backend_implementation", "backend-engineer", feature.backend),
                    Task("frontend_components", "frontend-engineer", feature.frontend_components),
                ],
            )
            done = sequential(
                workflow,
                [
                    Task("testing_validation", "testing-specialist", feature.testing_validation),
                    Task("performance", "observability-expert", feature.performance),
                    Task("release_readiness", "devops-engineer", feature.release_readiness),
                ],
            )
        except (QualityGateFailed, AssertionError) as failed:
            return f"not ready: {failed}"
    return f"ready, by {', '.join(done['contributors'])}"


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bugs", type=int, default=1)
    result = develop(arguments.parse_args().bugs)
    print(result)
    sys.exit(not result.startswith("ready"))
