"""Puts one command of an agent behind the gateway: the user's own that runs already, else one for this command."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..errors import HypertoolError
from ..runtime.settings import GATEWAY_LISTEN, GATEWAY_LISTEN_DEFAULT
from ..runtime.tcp_sockets import listening_users
from .running import AIDER_LOG, COMMANDS

if TYPE_CHECKING:
    import subprocess

STOP_SECONDS = 40.0
"""Longer than the gateway waits for streams under way."""
_PR_SET_PDEATHSIG = 1


class Base(NamedTuple):
    """Where an agent takes its base URL from: a variable, the gateway's name of the provider, and the URL's end."""

    variable: str
    provider: str
    end: str


# The others take it from files of their own (docs/gateway.md).
BASES = {
    "claude-code": Base("ANTHROPIC_BASE_URL", "anthropic", ""),
    "gemini-cli": Base("GOOGLE_GEMINI_BASE_URL", "gemini", ""),
    "copilot-cli": Base("COPILOT_PROVIDER_BASE_URL", "openai", "/v1"),
    "qwen-code": Base("OPENAI_BASE_URL", "openai", "/v1"),
    "aider": Base("OPENAI_API_BASE", "openai", "/v1"),
}


@contextlib.contextmanager
def behind_gateway(
    command: str, program: str, given: Mapping[str, str], persona: str, heard: list[str]
) -> Iterator[dict[str, str]]:
    """The environment in which the agent's `command` goes through a gateway; one of its own ends afterwards.

    `program` is our command line. A base URL that the user has set is where that gateway sends requests. What it says
    is added to `heard`. Raises HypertoolError before anything is started.
    """
    agent = COMMANDS.get(os.path.basename(command), "")
    base = BASES.get(agent)
    if base is None:
        raise HypertoolError(
            f"--gateway: {command!r:.60} has no variable for its base URL, expected {', '.join(_commands())}; start "
            "`hypertool gateway`, and set the base URL in the agent's own configuration (docs/gateway.md)"
        )
    theirs = given.get(base.variable, "").rstrip("/")
    if agent == "copilot-cli" and not theirs:
        raise HypertoolError(
            f"--gateway: Copilot CLI uses GitHub's own models unless {base.variable} names a provider, and those have "
            "no base URL; set it (with COPILOT_MODEL), or leave out --gateway"
        )
    way = f"/p/{persona}" if persona else ""
    end = f"{way}/a/{agent}/{base.provider}{base.end}"
    # While Aider streams, its log has estimates, which no figure pairs with what the gateway counts.
    kept = {name: value for name, value in given.items() if name != AIDER_LOG}
    running = None if theirs else _running()
    if running is not None:
        yield {**kept, base.variable: running + end}
        return
    with _started(program, _upstream(given, base, theirs), heard) as url:
        yield {**kept, base.variable: url + end}


def _commands() -> list[str]:
    return [command for command, agent in COMMANDS.items() if agent in BASES]


def _address() -> tuple[str, int]:
    """Where this user's gateway listens; the port is 0 if the setting has none."""
    host, _, port = (GATEWAY_LISTEN.read() or GATEWAY_LISTEN_DEFAULT).rpartition(":")
    return host.strip("[]"), int(port) if port.isascii() and port.isdigit() else 0


def _running() -> str | None:
    """The URL of the gateway that this user runs already; None without one."""
    host, port = _address()
    if not port or listening_users(host, port) != {os.geteuid()}:
        return None
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def broken_base(agent: str, environment: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The agent's base URL where it names the gateway's address: the variable, what is wrong with it (empty: nothing),
    and the remedy. None for every other base URL.
    """
    base = BASES.get(agent)
    try:
        url = urlsplit(environment.get(base.variable, "")) if base is not None else None
        if base is None or url is None or (url.hostname not in ("127.0.0.1", "::1", "localhost")):
            return None
        host, port = _address()
        if url.port != port:
            return None
    except ValueError:
        return None
    right = f"http://{url.netloc}/{base.provider}{base.end}"
    if not f"{url.path.rstrip('/')}/".endswith(f"/{base.provider}{base.end}/"):
        return base.variable, f"its path is {url.path:.60}", f"export {base.variable}={right}"
    users = listening_users(host, port)
    if not users:
        return base.variable, f"nothing listens on {host}:{port}", f"run `hypertool gateway`, or unset {base.variable}"
    if users != {os.geteuid()}:
        return (
            base.variable,
            f"{host}:{port} is another user's",
            f"unset {base.variable}: it would get your credentials",
        )
    return base.variable, "", ""


def _upstream(given: Mapping[str, str], base: Base, theirs: str) -> dict[str, str]:
    """The gateway's environment: its provider is the one that the user has named for the agent, if any."""
    made = {**given, GATEWAY_LISTEN.name: "127.0.0.1:0"}
    if theirs:
        if not theirs.endswith(base.end):
            raise HypertoolError(f"--gateway: {base.variable}={theirs:.100} does not end with {base.end}; add it")
        made[f"HYPERTOOL_GATEWAY_{base.provider.upper()}"] = theirs.removesuffix(base.end)
    return made


@contextlib.contextmanager
def _started(program: str, environment: Mapping[str, str], heard: list[str]) -> Iterator[str]:
    """The URL of a gateway that ends with the block, or with this process."""
    import subprocess
    import tempfile

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            [program, "gateway"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            # An interrupt in the terminal is for the agent.
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("gateway on "):
                process.wait()
                raise HypertoolError(f"--gateway: {_text(said) or 'the gateway did not start'}")
            yield line.split()[2].rstrip("/")
        finally:
            _stop(process)
        heard += [text for text in [_text(said)] if text]


def _end_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: subprocess.Popen[str]) -> None:
    import subprocess

    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _text(said: IO[str]) -> str:
    said.seek(0)
    return " ".join(said.read(2000).split())
