"""`hypertool run`: runs a coding agent's command, bound to a persona, chatmode and workflow from its start."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import AbstractContextManager, nullcontext

from ..domain.personas import load_catalogue
from ..runtime.settings import disabled
from ..runtime.workspace import find_workspace
from ..store.sessions import Sessions
from .output import UsageProblem, complain, label, listen
from .persona import resolve

PROGRAM = "hypertool run"


def run(arguments: argparse.Namespace) -> int:
    """Run the command with its own terminal and exit code. A failure to count goes to stderr."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command or not command[0]:
        raise UsageProblem("no command to run; see `hypertool run --help`")
    persona = resolve(load_catalogue(), arguments.persona).name if arguments.persona is not None else None
    chatmode = label("--chatmode", arguments.chatmode) if arguments.chatmode is not None else None
    workflow = label("--workflow", arguments.workflow) if arguments.workflow is not None else ""
    from ..agents.ledger.attribution import UNKNOWN, Attribution
    from ..agents.running import counting, environment_for, take_in
    from ..workflow.command import hold_signals, run_command

    active = Sessions(find_workspace()).read()
    whose = Attribution(
        persona or (active.persona if active is not None else UNKNOWN),
        chatmode or (active.chatmode if active is not None else "default"),
        workflow,
    )
    heard = listen()
    if disabled():
        hold_signals()
        return run_command(PROGRAM, command, os.environ).code
    environment = environment_for(os.environ, whose)
    with _gateway(arguments, command[0], environment, whose.persona, heard) as environment:
        hold_signals()
        started = time.time()
        with counting(command, started, whose, environment, hold=not arguments.gateway) as held:
            code = run_command(PROGRAM, command, environment, started=held.begin).code
        if held.why:
            heard.append(f"{os.path.basename(command[0]):.60} was ended. {held.why}")
        try:
            take_in(command, started, whose, environment)
        except Exception as error:
            heard.append(f"what the agent used is not counted yet, the next hook or the service will: {error}")
    for line in heard:
        complain(PROGRAM, line)
    return code


def _gateway(
    arguments: argparse.Namespace, command: str, environment: dict[str, str], persona: str, heard: list[str]
) -> AbstractContextManager[dict[str, str]]:
    """The environment of the command: with a gateway's base URL where one is asked for."""
    if not arguments.gateway:
        return nullcontext(environment)
    from ..agents.behind_gateway import behind_gateway
    from ..agents.ledger.attribution import UNKNOWN
    from .agents import program

    return behind_gateway(command, program(), environment, "" if persona == UNKNOWN else persona, heard)
