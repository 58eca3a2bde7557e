"""The MCP SDK's own client, connected to `hypertool mcp` as an agent connects to it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.agents.hooking import HYPERTOOL

Use = Callable[[Client], Awaitable[None]]


class Answer(NamedTuple):
    """A tool's text, and whether it is an error."""

    text: str
    failed: bool


def connected(use: Use, where: Path, mode: str = "auto", **environment: str) -> None:
    """Start the server in a folder and use it; `mode` is how the client finds the protocol's version."""
    parameters = StdioServerParameters(
        command=str(HYPERTOOL), args=["mcp"], env={**os.environ, **environment}, cwd=str(where)
    )

    async def go() -> None:
        with anyio.fail_after(60):
            async with Client(stdio_client(parameters), mode=mode) as client:
                await use(client)

    anyio.run(go)


async def call(client: Client, tool: str, meta: dict[str, Any] | None = None, **arguments: Any) -> Answer:
    """One call of a tool."""
    result = await client.call_tool(tool, arguments, meta=meta)  # type: ignore[arg-type]
    (content,) = result.content
    return Answer(content.text, bool(result.is_error))  # type: ignore[union-attr]
