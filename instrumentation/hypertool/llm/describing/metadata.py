"""What a caller says about one LLM call: metadata of its own, and which prompt of Langfuse's it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...runtime.logs import once

# As in Langfuse's own integrations: an object of `Langfuse.get_prompt`, or a mapping with its name and version.
PROMPT = "langfuse_prompt"


def as_attributes(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Every entry under `hypertool.metadata.`; `langfuse_prompt` as the link that Langfuse reads of a generation."""
    found = {f"hypertool.metadata.{key}": value for key, value in metadata.items() if key != PROMPT}
    prompt = metadata.get(PROMPT)
    return {**found, **_link(prompt)} if prompt is not None else found


def for_function(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a function that takes metadata itself (OpenAI's do), without what is only for Langfuse."""
    metadata = arguments.get("metadata")
    if not isinstance(metadata, Mapping) or PROMPT not in metadata:
        return arguments
    return {**arguments, "metadata": {key: value for key, value in metadata.items() if key != PROMPT}}


def _link(prompt: Any) -> dict[str, Any]:
    if isinstance(prompt, Mapping):
        name, version, fallback = prompt.get("name"), prompt.get("version"), False
    else:
        name, version = getattr(prompt, "name", None), getattr(prompt, "version", None)
        fallback = getattr(prompt, "is_fallback", False)  # what the program fell back on is no prompt of the server's
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
    # Not the convention's gen_ai.prompt.name: the server takes everything under gen_ai.prompt for the input.
    return {"langfuse.observation.prompt.name": name[:200], "langfuse.observation.prompt.version": version}
