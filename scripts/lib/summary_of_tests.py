"""Prints one summary of several pytest runs from their JUnit files: figures per group, and reasons for skips.

    summary_of_tests.py FILE...            exit code 1 if a test failed
    summary_of_tests.py --failures FILE    only the number of tests that failed

A file in a folder `again` holds the second run of tests that failed in the group of the same name. What passes there
counts as passed and is named.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


def failures(file: Path) -> set[str]:
    """The names of the tests that failed, in their fixtures too."""
    return _with(file, "failure") | _with(file, "error")


def _passed(file: Path) -> set[str]:
    return _with(file, ".") - failures(file) - _with(file, "skipped")


def _with(file: Path, child: str) -> set[str]:
    cases = ElementTree.parse(file).getroot().iter("testcase")
    return {f"{case.get('classname')}::{case.get('name')}" for case in cases if case.find(child) is not None}


def summary(files: list[Path]) -> tuple[str, int]:
    """A line per group, skips by reason, and the totals in pytest's format; with it, the number of failed tests."""
    lines = ["", f"{'group':<42} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}"]
    reasons, totals, only_again = Counter[str](), Counter[str](), list[str]()
    again = {file.stem: _passed(file) for file in files if file.parent.name == "again"}
    for file in sorted((file for file in files if file.parent.name != "again"), key=lambda file: file.stem):
        cured = sorted(failures(file) & again.get(file.stem, set()))
        failed = len(failures(file)) - len(cured)
        for suite in ElementTree.parse(file).getroot().iter("testsuite"):
            skipped = int(suite.get("skipped", 0))
            passed = len(_with(file, ".")) - failed - skipped
            seconds = float(suite.get("time", 0))
            lines.append(f"{file.stem:<42} {passed:>7} {failed:>7} {skipped:>8} {seconds:>8.0f}")
            totals.update(passed=passed, failed=failed, skipped=skipped)
            reasons.update(skip.get("message", "").strip() or "no reason" for skip in suite.iter("skipped"))
        only_again += cured
    if reasons:
        lines += ["", "Skipped, and what to do to run them:"]
        lines += [f"{count:>6} x {reason}" for reason, count in reasons.most_common()]
    if only_again:
        lines += ["", "Failed beside other groups, passed when run again alone (each is a fault to mend):"]
        lines += [f"       {name}" for name in only_again]
    lines += ["", f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped"]
    return "\n".join(lines), totals["failed"]


def main(arguments: list[str]) -> int:
    """Print what was asked for."""
    if arguments[:1] == ["--failures"]:
        print(len(failures(Path(arguments[1]))))
        return 0
    text, failed = summary([Path(argument) for argument in arguments if Path(argument).is_file()])
    print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
