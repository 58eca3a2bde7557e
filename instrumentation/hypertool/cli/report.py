"""`hypertool report`: the dashboards without Grafana, as one HTML page or as pictures."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..errors import HypertoolError
from ..report.query import duration
from ..runtime.light_typing import TYPE_CHECKING
from .output import UsageProblem, say

if TYPE_CHECKING:
    from ..report.prometheus import Prometheus
    from ..report.report import Figures

#: How often a watched file is written again, in seconds.
_AGAIN = 30
_LONGEST = 400 * 86400


def write(arguments: argparse.Namespace) -> int:
    """Write the page, and with --png a picture of each dashboard beside it."""
    from ..report.prometheus import Prometheus
    from ..report.report import chosen

    seconds = duration(arguments.since)
    if not 60 <= seconds <= _LONGEST:
        raise UsageProblem(f"--since {arguments.since!r:.40}: expected a length from 1m to 400d, such as 6h, 24h or 7d")
    if arguments.watch_file and (arguments.out or arguments.png):
        raise UsageProblem("--watch-file writes a page of its own; use it without --out and --png")
    wanted = chosen(arguments.dashboard)
    prometheus = Prometheus(arguments.prometheus)
    if arguments.watch_file:
        _watch(prometheus, wanted, seconds, Path(arguments.watch_file))
    figures = _figures(prometheus, wanted, seconds)
    _write_once(figures, arguments.out or "hypertool-report.html", arguments.png, arguments.dark)
    return 0


def _figures(prometheus: Prometheus, wanted: list[dict[str, object]], seconds: int) -> Figures:
    from ..report.report import gather

    return gather(prometheus, wanted, time.time(), seconds)


def _write_once(figures: Figures, out: str, png: bool, dark: bool) -> None:
    from ..report import report

    text = report.page(figures)
    if out == "-":
        sys.stdout.write(text)
        return
    target = Path(out)
    pictures = [
        (
            target.with_name(f"{target.stem}-{report.short_name(one)}.png"),
            report.png(report.picture(figures, one, dark)),
        )
        for one in (figures.dashboards if png else [])
    ]
    for path, data in [(target, text.encode()), *pictures]:
        _replace(path, data)
        say(f"wrote {path} ({len(data) / 1000:,.0f} kB)")
    if figures.empty:
        say(report.NOTHING)


def _watch(prometheus: Prometheus, wanted: list[dict[str, object]], seconds: int, path: Path) -> None:
    """Write the page again and again until interrupted; a Prometheus that is away for a while does not end it."""
    from ..report.report import page

    say(f"writing {path} every {_AGAIN} s; a browser that shows it reads it again by itself; stop with Ctrl-C")
    last = ""
    while True:
        try:
            _replace(path, page(_figures(prometheus, wanted, seconds), _AGAIN).encode())
            problem = ""
        except HypertoolError as error:
            problem = str(error)
        if problem != last:
            say(problem or "writing again", flush=True)
            last = problem
        time.sleep(_AGAIN)


def _replace(path: Path, data: bytes) -> None:
    """Write the file as a whole or not at all. Raises HypertoolError with the reason."""
    from ..runtime import atomic_files

    try:
        atomic_files.replace(str(path), data, atomic_files.new_file_mode())
    except OSError as error:
        raise HypertoolError(
            f"cannot write {path}: {error.strerror or error}; name another file, or - for stdout"
        ) from None
