"""`hypertool mcp`: serves the commands as tools of the Model Context Protocol; the SDK is imported only here."""

from __future__ import annotations

import argparse

from ..errors import HypertoolError


def serve(_: argparse.Namespace) -> int:
    """Serve on stdin and stdout until the client closes them."""
    try:
        from .mcp_server import run
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] in ("mcp", "anyio", "pydantic"):
            raise HypertoolError(
                f"the module {missing.name} is not installed; "
                "`hypertool mcp` needs the MCP SDK: pip install 'hypertool-observability[mcp]'"
            ) from None
        raise
    return run()
