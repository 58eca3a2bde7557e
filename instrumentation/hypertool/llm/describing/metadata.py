"""What a caller adds to one LLM call: its own metadata, and the Langfuse prompt that the call uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...runtime.logs import once

# As in Langfuse's own integrations: an object from `Langfuse.get_prompt`, or a mapping with its name and version.
PROMPT = "langfuse_prompt"


def as_attributes(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Every entry under `hypertool.metadata.`; `langfuse_prompt` as the link that Langfuse reads from a generation."""
    found = {f"hypertool.metadata.{key}": value for key, value in metadata.items() if key != PROMPT}
    prompt = metadata.get(PROMPT)
    return {**found, **_link(prompt)} if prompt is not None else found


def for_function(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments for a function that takes `metadata` itself (as OpenAI's do), without the entry for Langfuse."""
    metadata = arguments.get("metadata")
    if not isinstance(metadata, Mapping) or PROMPT not in metadata:
        return arguments
    return {**arguments, "metadata": {key: value for key, value in metadata.items() if key != PROMPT}}


def _link(prompt: Any) -> dict[str, Any]:
    if isinstance(prompt, Mapping):
        name, version, fallback = prompt.get("name"), prompt.get("version"), False
    else:
        name, version = getattr(prompt, "name", None), getattr(prompt, "version", None)
        fallback = getattr(prompt, "is_fallback", False)  # a fallback prompt does not exist on the server
    if fallback:
        return {}
    if not isinstance(name, str) or not name or not isinstance(version, int) or isinstance(version, bool):
        once.warn(
            "langfuse-prompt",
            f"{PROMPT} links no prompt: expected one of Langfuse's prompt objects, or a "
            f"mapping with name and version, not a {type(prompt).__name__} with the name "
            f"{name!r:.60} and the version {version!r:.20}",
        )
        return {}
    # Not the convention's gen_ai.prompt.name: the server reads everything under gen_ai.prompt as the input.
    return {"langfuse.observation.prompt.name": name[:200], "langfuse.observation.prompt.version": version}
