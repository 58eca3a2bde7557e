"""What a class shows about its instances: its entry in a table, by package and name, and LiteLLM's provider."""

from __future__ import annotations

import operator
from typing import Any

from .providers import provider_name


def base_named(kind: type, table: Any) -> Any:
    """The entry of `table` for `kind` or the nearest base class, by top package and class name, or None."""
    for base in kind.__mro__:
        # Generic pydantic classes carry their parameter in the name: ParsedChatCompletion[Answer].
        found = table.get((base.__module__.partition(".")[0], base.__name__.partition("[")[0]))
        if found is not None:
            return found
    return None


_hidden = operator.attrgetter("_hidden_params")


def litellm_provider(response: Any) -> str | None:
    """The provider that LiteLLM called, from the hidden parameters of its response."""
    hidden = _hidden(response)
    if not isinstance(hidden, dict):
        return None
    named = hidden.get("custom_llm_provider") or str(hidden.get("litellm_model_name", "")).partition("/")[0]
    return provider_name(named)
