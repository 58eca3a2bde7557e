"""The options of `hypertool report`."""

from __future__ import annotations

from ..runtime.light_typing import Any


def add_report(report: Any) -> None:
    """Add the options to the parser of the command."""
    report.add_argument(
        "--since", metavar="LENGTH", default="24h", help="how far back, such as 6h, 7d or 2w (default: 24h)"
    )
    report.add_argument(
        "--dashboard",
        metavar="NAME",
        action="append",
        default=[],
        help="only this one (repeatable): agents, llm-cost, persona-overview, pipeline-health, workflow-performance",
    )
    report.add_argument(
        "--prometheus",
        metavar="URL",
        default="http://localhost:9090/",
        help="where the figures are, login included if it needs one (default: this host's, with its own login)",
    )
    report.add_argument("--out", metavar="FILE", help="the page, or - for stdout (default: hypertool-report.html)")
    report.add_argument("--png", action="store_true", help="also write a picture of each dashboard beside the page")
    report.add_argument("--dark", action="store_true", help="dark pictures; the page follows the reader's system")
    report.add_argument(
        "--watch-file", metavar="FILE", help="write this page every 30 s until interrupted; it reloads itself"
    )
