"""Which packages and units an uninstallation takes for ours: by the record, with apt's answers given."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.support.ansible_module import shared_code
from tests.support.loaded import loaded

LIBRARY = Path(__file__).resolve().parents[2] / "ansible" / "library"
shared_code("packages")


@pytest.fixture(scope="module")
def recorded() -> ModuleType:
    return loaded(LIBRARY / "recorded_packages.py")


class Apt:
    """Stands where apt and dpkg do: a state for each package, and which were pulled in by others."""

    def __init__(self, states: dict[str, str], pulled_in: set[str]) -> None:
        self.known, self.pulled_in = states, pulled_in

    def states(self, names: list[str]) -> dict[str, str]:
        return {name: self.known.get(name, "") for name in names}

    def dependencies_since(self, names: list[str]) -> set[str]:
        return set(names) & self.pulled_in


def record(packages: set[str], before: dict[str, str]) -> Any:
    return SimpleNamespace(packages=packages, states=before)


P, T, G = NAMES = ("prometheus", "promtool", "grafana")
#: What is recorded, dpkg's states before us and now, what others pulled in, and what is ours to take.
CASES = {
    "what we added": ({P}, {P: ""}, {P: "ii"}, set(), {P}),
    "what was split off by an upgrade": ({P}, {P: "", T: ""}, {P: "ii", T: "ii"}, {T}, {P, T}),
    "what a person installed later": ({P}, {P: "", G: ""}, {P: "ii", G: "ii"}, set(), {P}),
    "what was there before": (set(), {T: "ii"}, {T: "ii"}, {T}, set()),
    "what is removed and not purged, as before": ({P}, {P: "rc"}, {P: "rc"}, set(), set()),
    "what came back from that": ({P}, {P: "rc"}, {P: "ii"}, set(), {P}),
    "what somebody purged": ({P}, {P: ""}, {}, set(), set()),
    "a record of an older version": ({P}, {}, {P: "ii", T: "ii"}, {T}, {P}),
}


@pytest.mark.parametrize(("added", "before", "now", "pulled_in", "expected"), CASES.values(), ids=CASES.keys())
def test_only_our_packages_are_taken(
    recorded: ModuleType,
    added: set[str],
    before: dict[str, str],
    now: dict[str, str],
    pulled_in: set[str],
    expected: set[str],
) -> None:
    """Packages of before, and ones that a person installed later, stay; what an upgrade split off goes."""
    assert recorded.ours_of(Apt(now, pulled_in), record(added, before), list(NAMES)) == expected
