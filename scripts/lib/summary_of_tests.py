"""Prints one summary of several pytest runs from their JUnit files: figures per group, and reasons for skips."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


def summary(files: list[Path]) -> str:
    """A line per group, the reasons for skipped tests with their counts, and the totals in pytest's format."""
    lines = ["", f"{'group':<42} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}"]
    reasons, totals = Counter[str](), Counter[str]()
    for file in files:
        for suite in ElementTree.parse(file).getroot().iter("testsuite"):
            count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
            failed = count["failures"] + count["errors"]
            passed = count["tests"] - failed - count["skipped"]
            seconds = float(suite.get("time", 0))
            lines.append(f"{file.stem:<42} {passed:>7} {failed:>7} {count['skipped']:>8} {seconds:>8.0f}")
            totals.update(passed=passed, failed=failed, skipped=count["skipped"])
            reasons.update(skip.get("message", "").strip() or "no reason" for skip in suite.iter("skipped"))
    if reasons:
        lines += ["", "Skipped, and what to do to run them:"]
        lines += [f"{count:>6} x {reason}" for reason, count in reasons.most_common()]
    return "\n".join([*lines, "", f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped"])


if __name__ == "__main__":
    print(summary(sorted(map(Path, sys.argv[1:]), key=lambda file: file.stem)))
