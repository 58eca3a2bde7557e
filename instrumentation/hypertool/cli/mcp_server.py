"""The MCP server on stdin and stdout. Its tools are the commands: an error in one never ends the server."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import ToolAnnotations
from pydantic import Field

from ..domain.personas import load_catalogue
from ..errors import HypertoolError
from ..runtime.version import __version__
from . import mcp_commands
from .agents import program

ANSWER_CHARACTERS = 8000
"""What an answer may take of an agent's context, about 2,000 tokens."""
_RAN = "hypertool gate: exit code "


async def persona_switch(context: Context, persona: str, chatmode: str = "") -> str:
    """Switch to a persona. Do it when your role changes; the tokens you use from then on are counted to it."""
    mode = [f"--chatmode={chatmode}"] if chatmode else []
    return await _answer(context, "switch", *mode, "--", persona)


async def persona_status(context: Context) -> str:
    """Current persona, chatmode and tokens left."""
    return await _answer(context, "status")


async def budget(context: Context, persona: str = "") -> str:
    """Tokens left of a persona's budget, or of all."""
    return await _answer(context, "budget", *([f"--persona={persona}"] if persona else []))


async def gate(
    context: Context,
    workflow: str,
    stage: str,
    command: str,
    persona: str = "",
    tail: Annotated[int, Field(ge=0, le=200)] = 20,
) -> str:
    """Close a workflow stage: runs a shell command, exit code 0 passes. Answers with its last lines."""
    persona = persona or _declared_persona(workflow, stage)
    done = await _run(
        context,
        "gate",
        f"--workflow={workflow}",
        f"--stage={stage}",
        f"--persona={persona}",
        "--quiet",
        f"--tail={tail}",
        "--",
        "/bin/sh",
        "-c",
        command,
    )
    if not done.out.rpartition("\n")[0].rpartition("\n")[2].startswith(_RAN):
        raise ToolError(_shortened(done.err or f"the gate ended with exit code {done.code}"))
    return f"{'pass' if done.code == 0 else 'fail'}\n{_shortened(done.out + done.err)}"


async def workflow_next(context: Context, workflow: str = "") -> str:
    """The next stage of a workflow: its persona, chatmode, tokens and gate command."""
    return await _answer(context, "workflow", "next", *(["--", workflow] if workflow else []))


def _declared_persona(workflow: str, stage: str) -> str:
    try:
        declared = load_catalogue().workflows.get(workflow)
    except HypertoolError as error:
        raise ToolError(str(error)) from None
    found = declared.stage(stage) if declared is not None else None
    if found is None:
        raise ToolError(f"stage {stage!r:.60} of {workflow!r:.60} is not declared; give its persona too")
    return found.persona


async def _answer(context: Context, *arguments: str) -> str:
    done = await _run(context, *arguments)
    if done.code:
        raise ToolError(_shortened(done.err or f"it ended with exit code {done.code}"))
    return _shortened(done.out + done.err)


async def _run(context: Context, *arguments: str) -> mcp_commands.Done:
    try:
        return await mcp_commands.run([program(), *arguments], context.request_context.meta)
    except (OSError, ValueError) as error:
        raise ToolError(f"the command cannot be started: {error}") from None


def _shortened(text: str) -> str:
    text = text.strip()
    cut = len(text) - ANSWER_CHARACTERS
    return text if cut <= 0 else f"[{cut} characters cut]\n{text[cut:]}"


def _tool(function: Callable[..., Awaitable[str]], annotations: ToolAnnotations) -> Tool:
    tool = Tool.from_function(function, annotations=annotations, structured_output=False)
    # A model reads the schema at each of its calls, and the titles only repeat the names.
    tool.parameters.pop("title", None)
    for parameter in tool.parameters.get("properties", {}).values():
        parameter.pop("title", None)
    return tool


def _server() -> MCPServer[Any]:
    reads = ToolAnnotations(read_only_hint=True)
    tools = [
        _tool(persona_switch, ToolAnnotations(destructive_hint=False)),
        _tool(persona_status, reads),
        _tool(budget, reads),
        _tool(gate, ToolAnnotations(destructive_hint=True)),
        _tool(workflow_next, reads),
    ]
    return MCPServer("hypertool", version=__version__, tools=tools, log_level="WARNING", subscriptions=False)


def run() -> int:
    """Serve until the client closes the input. A signal ends the commands first."""
    anyio.run(_serve)
    return 0


async def _serve() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_end_at_signal)
        await _server().run_stdio_async()
        group.cancel_scope.cancel()


async def _end_at_signal() -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            for process in tuple(mcp_commands.running):
                await mcp_commands.end(process)
            os._exit(128 + number)  # The thread that waits for input cannot be woken.
