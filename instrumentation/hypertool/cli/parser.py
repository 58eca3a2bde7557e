"""The commands, their options, and the function behind each."""

from __future__ import annotations

import argparse
from importlib import import_module

from ..runtime.light_typing import TYPE_CHECKING, Any
from ..runtime.version import __version__
from .output import UsageProblem

if TYPE_CHECKING:
    from typing import NoReturn

_PERSONA = ".cli.persona"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """A fixed width: argparse creates a formatter per option and would import shutil to ask the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)

    def _set_color(self, color: bool) -> None:
        # Python 3.14 does so for each formatter, and imports `inspect` for it: here it waits until help is printed.
        self._wanted_color = color

    def __getattr__(self, name: str) -> Any:
        if name not in ("_theme", "_decolor"):
            raise AttributeError(name)
        super()._set_color(self._wanted_color)  # type: ignore[misc]
        return vars(self)[name]


_PERSONA_COMMANDS = ("switch", "list", "current", "status", "budget", "end")
COMMANDS = {
    "tta-persona": _PERSONA_COMMANDS,
    "hypertool": (
        *_PERSONA_COMMANDS,
        "labels",
        "exporter",
        "alert-log",
        "gateway",
        "baseline",
        "workflow",
        "gate",
        "drill",
        "usage",
        "report",
        "prices",
        "hook",
        "run",
        "agents",
        "grafana",
        "mcp",
    ),
}


class _Only:
    """Replaces the subparsers and creates only one of them."""

    def __init__(self, commands: Any, only: str) -> None:
        self._commands = commands
        self._only = only

    def add_parser(self, name: str, **options: Any) -> Any:
        """The parser of that command, or a stand-in that ignores its options."""
        return self._commands.add_parser(name, **options) if name == self._only else _Skipped()


class _Skipped:
    def add_argument(self, *_: Any, **__: Any) -> None:
        """Ignore it: this parser is not used."""

    def set_defaults(self, **_: Any) -> None:
        """Ignore it: this parser is not used."""


class _Parser(argparse.ArgumentParser):
    """Reports wrong use in one line that names the next step."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but the words of a positional with `nargs="*"` may also follow an option."""
        found, rest = super().parse_known_args(args, namespace)
        several = next((one.dest for one in self._actions if one.nargs == "*" and not one.option_strings), None)
        if several is not None:
            words = [word for word in rest if not word.startswith("-")]
            setattr(found, several, [*getattr(found, several), *words])
            rest = [word for word in rest if word.startswith("-")]
        return found, rest

    def error(self, message: str) -> NoReturn:
        raise UsageProblem(f"{message}; see `{self.prog} --help`")


def dispatch(program: str, argv: list[str]) -> int:
    """Parse `argv` and run the command; returns its exit code."""
    command: list[str] | None = None
    if argv[:1] in (["gate"], ["run"]) and "--" in argv:
        cut = argv.index("--")
        argv, command = argv[:cut], argv[cut + 1 :]
    inner = None
    if program == "hypertool" and argv[:1] == ["workflow"]:
        from .workflow_commands import NAMES, completed

        argv = completed(argv)
        inner = argv[1] if argv[1:2] and argv[1] in NAMES else None
    parser = build(program, argv[0] if argv and argv[0] in (*COMMANDS[program], "--version") else None, inner)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as ended:  # --help and --version
        return int(ended.code or 0)
    if not hasattr(arguments, "does"):
        raise UsageProblem(f"no command given; see `{program} --help`")
    if command is not None:
        if arguments.command:
            raise UsageProblem(f"unexpected {arguments.command[0]!r:.80} before --; see `{program} {argv[0]} --help`")
        arguments.command = command
    module, function = arguments.does
    code: int = getattr(import_module(module, "hypertool"), function)(arguments)
    return code


def build(program: str, only: str | None = None, inner: str | None = None) -> argparse.ArgumentParser:
    """The parser of `hypertool` or `tta-persona`; with `only`, of that one command (creating all takes 3 ms), and
    with `inner` of that one sub-command of `workflow`.
    """
    parser = _Parser(prog=program, description="See and control personas, their token budgets and their workflows.")
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    # `prog` is given because argparse would format a usage line to find it out, and load what that needs.
    commands: Any = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser, prog=program)
    if only is not None:
        commands = _Only(commands, only)
    _persona_commands(commands)
    if program == "hypertool":
        _service_commands(commands)
        _workflow_commands(commands)
        if only in (None, "workflow"):
            from .workflow_commands import add_workflow

            add_workflow(commands, _Parser, inner)
        _agent_commands(commands)
        _price_commands(commands)
        if only in (None, "grafana"):
            _grafana_command(commands)
        if only in (None, "report"):
            from .report_options import add_report

            add_report(
                _add(
                    commands,
                    "report",
                    "write the dashboards as one HTML page, or pictures, without Grafana",
                    (".cli.report", "write"),
                    json=False,
                )
            )
    return parser


def _add(commands: Any, name: str, text: str, does: tuple[str, str], json: bool = True, **more: Any) -> Any:
    parser = commands.add_parser(name, help=text, description=text, **more)
    parser.set_defaults(does=does)
    if json:
        _switch(parser, "--json", "print one JSON document")
    return parser


def _switch(parser: Any, option: str, text: str) -> None:
    parser.add_argument(option, action="store_true", help=text)


def _persona_commands(commands: Any) -> None:
    switch = _add(commands, "switch", "switch to a persona; ends the previous session", (_PERSONA, "switch"))
    switch.add_argument("name", metavar="NAME", help="a persona or one of its aliases")
    switch.add_argument("--chatmode", metavar="MODE", help="the kind of work (default: the active one, else default)")
    _add(commands, "list", "every persona, its budget and its aliases", (_PERSONA, "list_personas"))
    _add(commands, "current", "the active persona of this workspace, or none", (_PERSONA, "current"))
    status = _add(commands, "status", "persona, chatmode, budget, workspace and store", (_PERSONA, "status"))
    _switch(
        status,
        "--series",
        "show instead how many series each metric can have, and what this host sends to Grafana Cloud",
    )
    _switch(status, "--line", "one line, for status bars")
    _switch(status, "--watch", "follow all budgets until interrupted")
    budget = _add(commands, "budget", "what is left of each token budget on this host", (_PERSONA, "budget"))
    budget.add_argument("--persona", metavar="NAME", help="only this persona")
    _switch(budget, "--reset", "refill the budget in every process (without --persona: all budgets)")
    _add(commands, "end", "end the active session (not counted as a switch)", (_PERSONA, "end"))


def _service_commands(commands: Any) -> None:
    labels = _add(
        commands,
        "labels",
        "undeclared names that this host has admitted as label values; --free makes room for another",
        (".cli.labels", "labels"),
    )
    labels.add_argument(
        "--free", nargs=2, metavar=("LABEL", "NAME"), help="remove NAME from the admitted names of LABEL"
    )
    _add(
        commands,
        "exporter",
        "run the metrics service of this host, on 127.0.0.1:9464 (HYPERTOOL_LISTEN)",
        (".cli.services", "exporter"),
        json=False,
    )
    _add(
        commands,
        "alert-log",
        "run the alert log: write every alert notification to a file and the journal",
        (".cli.services", "alert_log"),
        json=False,
    )
    _add(
        commands,
        "gateway",
        "run a proxy between your agents and their model providers: it counts calls, and refuses them at a budget",
        (".cli.services", "gateway"),
        json=False,
        epilog="Base URLs: http://127.0.0.1:9466/anthropic, /openai/v1 and /gemini; /p/PERSONA/... names a persona.",
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number; expected 0 or more")
    return int(text)


def _workflow_commands(commands: Any) -> None:
    _add(
        commands,
        "baseline",
        "run the baseline workflow (simulated LLM) and show what was recorded",
        (".cli.baseline", "baseline"),
    )
    gate = _add(
        commands,
        "gate",
        "run a command as a workflow stage; its exit code becomes the quality gate",
        (".cli.workflow", "gate"),
        json=False,
        usage="hypertool gate --workflow W --stage S --persona P [--quiet [--tail N]] -- COMMAND [ARGUMENT ...]",
        epilog="Prints the command's output and exits with its code, or with 127 if there is no such command.\n"
        "A TRACEPARENT in the environment is used and passed on.",
    )
    for option, text in (
        ("workflow", "the workflow that the stage belongs to"),
        ("stage", "the stage that the command is measured as"),
        ("persona", "the persona that does the stage, or one of its aliases"),
    ):
        gate.add_argument(f"--{option}", metavar=option[0].upper(), required=True, help=text)
    _switch(gate, "--quiet", "print only the last lines and the exit code; write the whole output to a file")
    gate.add_argument(
        "--tail", metavar="N", type=_count, default=20, help="number of lines that --quiet prints (default: 20)"
    )
    gate.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    drill = _add(commands, "drill", "trigger a real alert on purpose; --reset ends it", (".cli.workflow", "drill"))
    drill.add_argument("name", metavar="DRILL", choices=("token-budget-exceeded",), help="token-budget-exceeded")
    drill.add_argument(
        "--persona",
        metavar="P",
        default="data-scientist",
        help="persona whose budget is overspent (default: data-scientist)",
    )
    _switch(drill, "--reset", "end the drill: refill the budget")


def _price_commands(commands: Any) -> None:
    prices = _add(
        commands,
        "prices",
        "check the price tables in use, or write a newer one from genai-prices' data",
        (".cli.prices", "run"),
        usage="hypertool prices {check,update} [FILE] [--output PATH] [--json]",
    )
    prices.add_argument(
        "action",
        choices=("check", "update"),
        metavar="{check,update}",
        help="check: source, date and size of the tables in use; update: write a newer table",
    )
    prices.add_argument(
        "file", nargs="?", metavar="FILE", help="genai-prices' data.json (default: the installed package)"
    )
    prices.add_argument(
        "--output", metavar="PATH", help="where the table goes (default: beside the user's own settings)"
    )


def _grafana_command(commands: Any) -> None:
    from .grafana_options import add_grafana

    grafana = _add(
        commands,
        "grafana",
        "put dashboards and rules into Grafana or Grafana Cloud, or show what that would change",
        (".cli.grafana", "run"),
        usage="hypertool grafana {push,diff,prune} [--url URL] [--token-file FILE] [--rules WHERE] [OPTION ...]",
        epilog="Exit codes: 0 done or nothing to do, 1 failed, 2 wrong use, 3 the token is refused or may not do it,\n"
        "4 failed after something was written, 5 left alone what another person or tool edited or manages,\n"
        "6 (diff only) there is something to do. Tokens: see docs/grafana-cloud.md.",
    )
    add_grafana(grafana, _count)


def _agent_commands(commands: Any) -> None:
    hook = _add(
        commands,
        "hook",
        "called by coding agents at their hook events; `hypertool agents install` sets it up",
        (".agents.hooks.hook", "run_command"),
        json=False,
    )
    hook.add_argument("agent", metavar="AGENT", help="claude-code, codex, gemini-cli, copilot-cli, cline or auggie")
    hook.add_argument("event", metavar="EVENT", help="the agent's name of the event; its data is read from stdin")
    usage = _add(commands, "usage", "what coding agents used, each model call counted once", (".cli.usage", "show"))
    usage.add_argument(
        "--since", metavar="LENGTH", default="7d", help="how far back, such as 12h, 7d or 4w (default: 7d)"
    )
    usage.add_argument(
        "--by",
        choices=("persona", "agent", "model", "day", "workspace", "session"),
        default="persona",
        metavar="WHAT",
        help="persona (default), agent, model, day, workspace or session",
    )
    _switch(usage, "--read", "first read all your session files, old ones included")
    run = _add(
        commands,
        "run",
        "run a coding agent, its session bound to a persona, chatmode and workflow",
        (".cli.run", "run"),
        json=False,
        usage="hypertool run [--persona P] [--chatmode M] [--workflow W] [--gateway] -- COMMAND [ARGUMENT ...]",
        epilog="Terminal and exit code are the command's own. An existing TRACEPARENT is kept; otherwise one is made.",
    )
    run.add_argument("--persona", metavar="P", help="a persona or one of its aliases (default: the workspace's)")
    run.add_argument("--chatmode", metavar="M", help="the kind of work (default: the workspace's)")
    run.add_argument("--workflow", metavar="W", help="workflow to record the session under (default: agent_session)")
    _switch(run, "--gateway", "through a gateway, which refuses calls at a budget")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    agents = _add(
        commands,
        "agents",
        "which coding agents are here and counted; install, uninstall or examine their hooks",
        (".cli.agents", "agents"),
        usage="hypertool agents [install | uninstall | doctor] [NAME ...] [--mcp] [--scope user|project] [--check] "
        "[--json]",
        epilog="Without NAME: every agent that is on this host. Exit code 1 where something is broken or refused.",
    )
    agents.add_argument(
        "words",
        nargs="*",
        metavar="install | uninstall | doctor, NAME",
        help="action (default: list the agents), then names of agents",
    )
    agents.add_argument(
        "--scope", choices=("user", "project"), default="user", help="whose configuration: user (default) or project"
    )
    _switch(
        agents, "--mcp", "install: the tools of `hypertool mcp`, too; uninstall: these alone (default: hooks and tools)"
    )
    _switch(agents, "--check", "install, uninstall: say what would change, change nothing")
    _add(
        commands,
        "mcp",
        "serve persona, budget, gate and next stage as tools to a coding agent (MCP on stdin and stdout)",
        (".cli.mcp", "serve"),
        json=False,
    )
