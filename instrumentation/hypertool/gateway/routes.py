"""Parses a request's target: the provider, the persona and the agent that it names, and whether it is a model call."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from ..domain.instruments import AGENTS

PROVIDERS = ("anthropic", "openai", "gemini")
PERSONA_HEADER = "X-Hypertool-Persona"
AGENT_HEADER = "X-Hypertool-Agent"
# The ends of paths whose answers report usage. Counting tokens, listing models and batches are passed on as they are.
_CALLS = {
    "anthropic": re.compile(r"/(?:messages|complete)"),
    "openai": re.compile(r"/(?:chat/completions|completions|responses|responses/compact|embeddings)"),
    "gemini": re.compile(
        r".*:(?:generateContent|streamGenerateContent|embedContent|batchEmbedContents)"
        r"|.*/(?:chat/completions|embeddings)"
    ),
}
_GEMINI_MODEL = re.compile(r"/models/([^/:]{1,100}):")
_FOREIGN = re.compile(r"[^!-~]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadTarget(ValueError):
    """A request's target that is not forwarded; the text says what is wrong with it."""


class Route(NamedTuple):
    """What a target names. `persona` and `agent` are empty if it names none; `rest` is the provider's path and query,
    byte for byte; `metered` if a POST to it is a model call.
    """

    provider: str
    persona: str
    agent: str
    rest: str
    metered: bool

    @property
    def model(self) -> str:
        """The model in the path (Gemini's), else empty."""
        found = _GEMINI_MODEL.search(self.rest)
        return unquote(found[1]) if found is not None else ""


def parse(target: str) -> Route:
    """`/[p/PERSONA/][a/AGENT/]PROVIDER/REST` as a route. Raises BadTarget.

    Refused are absolute URLs (the upstream is a setting, never a client's choice), `.` and `..` in any encoding, and
    control characters.
    """
    if not target.startswith("/") or target.startswith("//"):
        raise BadTarget(f"the target {target!r:.80} is no path; expected /PROVIDER/..., as a base URL gives it")
    path, question, query = target.partition("?")
    plain = unquote(path)
    if _FOREIGN.search(target) or _CONTROL.search(plain):
        raise BadTarget("the target has control characters")
    if {".", ".."} & set(re.split(r"[/\\]", plain)):
        raise BadTarget(f"the target {path!r:.80} has . or .. in it")
    persona, rest = _named("p", path)
    agent, rest = _named("a", rest)
    if agent and agent not in AGENTS:
        raise BadTarget(f"unknown agent {agent!r:.60} in the path, expected one of {', '.join(AGENTS)}")
    _, _, tail = rest.partition("/")
    provider, slash, tail = tail.partition("/")
    if provider not in PROVIDERS:
        raise BadTarget(
            f"unknown provider {provider!r:.60} in the path, expected one of {', '.join(PROVIDERS)}, as in "
            "/anthropic, /p/backend-engineer/openai/v1 or /a/cline/openai/v1"
        )
    own = slash + tail
    metered = re.fullmatch(rf"(?:/v[0-9][a-z0-9]*)?(?:{_CALLS[provider].pattern})", own) is not None
    return Route(provider, persona, agent, own + question + query, metered)


def _named(letter: str, path: str) -> tuple[str, str]:
    """The name after `/LETTER/`, and the path after it; an empty name and the whole path if there is none."""
    if not path.startswith(f"/{letter}/"):
        return "", path
    name, slash, rest = path[3:].partition("/")
    return unquote(name), slash + rest
