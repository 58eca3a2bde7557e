"""The sub-commands of `hypertool workflow`, in one table."""

from __future__ import annotations

from collections.abc import Callable

from ..runtime.light_typing import Any, NamedTuple


class SubCommand(NamedTuple):
    """One sub-command: its name, help text, the module and function behind it, and what adds its options."""

    name: str
    text: str
    does: tuple[str, str]
    options: Callable[[Any], None]


def _none(_: Any) -> None:
    """No options of its own."""


def _show(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME|FILE", help="a declared workflow, or a prompt file")


def _next(parser: Any) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME|FILE", help="a workflow (default: the workspace's current one)"
    )


def _run(parser: Any) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME|FILE", help="a declared workflow, or a prompt file")
    parser.add_argument(
        "--agent", metavar="COMMAND", help="agent for every stage, such as 'claude -p {prompt}' (default: the declared)"
    )
    parser.add_argument("--from", dest="start", metavar="STAGE", help="begin with this stage")
    parser.add_argument("--resume", action="store_true", help="continue this workspace's run where it ended")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 86_400:
        raise ValueError(text)
    return float(text)


def _test(parser: Any) -> None:
    parser.add_argument("file", metavar="FILE", help="a prompt file")
    parser.add_argument(
        "--exit",
        metavar="TOOL=CODE[,CODE...]",
        action="append",
        default=[],
        help="exit codes of a stub, one a call, the last one repeated (default: 0); may be given again",
    )
    parser.add_argument(
        "--seconds", metavar="N", type=_seconds, default=60.0, help="limit of one block of commands (default: 60)"
    )


def _lint(parser: Any) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="configuration (.toml) and prompt files (default: the configuration in use)",
    )


def _schema(parser: Any) -> None:
    parser.add_argument(
        "--front-matter", action="store_true", help="the schema of prompt files instead of the TOML file's"
    )


def _simulate(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="a declared workflow")
    parser.add_argument(
        "--severity", metavar="S", help="only for incident_response: p0_critical, p1_high (default), p2_medium, p3_low"
    )


def _export(parser: Any) -> None:
    parser.add_argument("--agent", metavar="NAME", action="append", help="only the files of this agent (repeatable)")
    parser.add_argument("--all", action="store_true", help="the files of every agent")
    parser.add_argument("--into", metavar="DIR", help="the project's folder (default: this workspace)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where something differs")
    parser.add_argument("--force", action="store_true", help="overwrite files that people have edited, too")
    parser.add_argument(
        "--prune", action="store_true", help="remove files of workflows and personas that are gone, unedited"
    )
    parser.add_argument("--list", action="store_true", help="only list which agent reads which file")
    parser.add_argument(
        "--mcp", action="store_true", help="also add `hypertool mcp` to the MCP settings of the project"
    )


SUBCOMMANDS = (
    SubCommand(
        "list", "every declared workflow, and where it is declared", (".cli.workflow_show", "list_workflows"), _none
    ),
    SubCommand("next", "the stage that comes next in this workspace", (".cli.workflow_show", "following"), _next),
    SubCommand("show", "one workflow: stages, personas, tokens, gates, budget", (".cli.workflow_show", "show"), _show),
    SubCommand("run", "run it: agents and gates, stage by stage; resumable", (".cli.workflow_run", "run"), _run),
    SubCommand("test", "run a prompt file's commands with stub tools", (".cli.workflow_test", "test"), _test),
    SubCommand(
        "lint",
        "check declared workflows and prompt files; exit code 1 for problems",
        (".cli.workflow_lint", "lint"),
        _lint,
    ),
    SubCommand(
        "export",
        "write the workflows as prompt files, and the personas as persona files, for coding agents",
        (".cli.workflow_export", "export_files"),
        _export,
    ),
    SubCommand("schema", "the JSON Schema for editors", (".cli.workflow_lint", "schema"), _schema),
    SubCommand(
        "simulate",
        "run a workflow with a simulated LLM and show what was recorded",
        (".cli.baseline", "workflow"),
        _simulate,
    ),
)
NAMES = tuple(one.name for one in SUBCOMMANDS)


def completed(argv: list[str]) -> list[str]:
    """`hypertool workflow NAME` is short for `hypertool workflow simulate NAME`."""
    if len(argv) > 1 and argv[1] not in NAMES and not argv[1].startswith("-"):
        return [argv[0], "simulate", *argv[1:]]
    return argv


def add_workflow(commands: Any, parser_class: type, only: str | None) -> None:
    """Add `workflow` with its sub-commands; with `only`, that one alone gets its options."""
    parser = commands.add_parser(
        "workflow",
        help="list, check, run and follow declared workflows",
        description="List, check, run and follow declared workflows. `hypertool workflow NAME` simulates one.",
    )
    if not hasattr(parser, "add_subparsers"):
        return
    inner = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=parser_class, prog="hypertool workflow"
    )
    for one in SUBCOMMANDS:
        if only is not None and one.name != only:
            continue
        sub = inner.add_parser(one.name, help=one.text, description=one.text)
        sub.set_defaults(does=one.does)
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        one.options(sub)
