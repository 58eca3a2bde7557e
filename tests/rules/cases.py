"""The promtool cases of prometheus/tests, one by one, as seen by a scrape every 15 s and by one every 60 s.

Cases are written once, at 15 s. The 60 s variant keeps every fourth sample, which is what a slower scrape would
have seen; a case whose name says "(per scrape)" describes the scrapes themselves and keeps all its samples.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
PROMETHEUS = REPO / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
CASE_FILES = sorted((PROMETHEUS / "tests").glob("*.yml"))
WRITTEN_AT = 15
SCRAPES = (15, 60)
# "Name fires: text" or "Name quiet: text"
NAME = re.compile(r"^(?P<alert>\w+) (?P<verdict>fires|quiet): (?P<what>.+)$")
NUMBER = r"[-+]?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|NaN|Inf)"
EXPANDING = re.compile(rf"^(?P<start>{NUMBER})(?:(?P<step>[-+]\d+(?:\.\d+)?))?x(?P<times>\d+)$")
PER_SCRAPE = "(per scrape)"


@dataclass(frozen=True)
class Case:
    """One named case; `scrape` is the interval in seconds at which it sees the world."""

    file: Path
    name: str
    scrape: int
    document: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.scrape}s-{self.name}"

    def as_file(self) -> str:
        """A promtool file with this case alone, in JSON, which is YAML too."""
        return json.dumps(self.document, indent=1)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def expand(notation: str) -> list[str]:
    """Every sample of promtool's notation: `1x2` is 1 1 1, `0+5x2` is 0 5 10, `_x2` is _ _."""
    samples: list[str] = []
    for word in str(notation).split():
        if word.startswith("_"):
            samples += ["_"] * int(word[2:] or 1)
        elif match := EXPANDING.match(word):
            start, step = float(match["start"]), float(match["step"] or 0)
            samples += [_number(start + step * i) for i in range(int(match["times"]) + 1)]
        else:
            samples.append(word)
    return samples


def thinned(samples: list[str], every: int) -> list[str]:
    """What a scrape `every` times slower sees; a series that ended in between has ended for it too."""
    seen = samples[::every]
    for index in range(1, len(seen)):
        if seen[index] == "_" and "stale" in samples[(index - 1) * every + 1 : index * every]:
            seen[index] = "stale"
    return seen


def load(path: Path) -> dict[str, Any]:
    """A YAML file as it stands."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def _at(document: dict[str, Any], test: dict[str, Any], path: Path, scrape: int) -> Case:
    test = copy.deepcopy(test)
    test["interval"] = f"{scrape}s"
    every = 1 if PER_SCRAPE in test["name"] else scrape // WRITTEN_AT
    for series in test["input_series"]:
        series["values"] = " ".join(thinned(expand(series["values"]), every))
    # The rules that the file names: cases of personas need not evaluate those of the pipeline, and the other way round.
    rules = [str((path.parent / rule).resolve()) for rule in document["rule_files"]]
    single = {**document, "rule_files": rules, "tests": [test]}
    return Case(path, test["name"], scrape, single)


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case of every file at every scrape interval; read once, because that takes half a second."""
    found: list[Case] = []
    for path in CASE_FILES:
        document = load(path)
        for test in document["tests"]:
            found += [_at(document, test, path, scrape) for scrape in SCRAPES]
    return tuple(found)
