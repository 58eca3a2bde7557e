"""The libraries of the extra `patterns`, imported when a pattern needs one."""

from __future__ import annotations

import importlib
from typing import Any

INSTALL = "pip install 'hypertool-observability[patterns]'"


def tenacity() -> Any:
    """The retry library. Raises ImportError that says how to install it."""
    return _load("tenacity", "retried()")


def pybreaker() -> Any:
    """The library of circuit breakers. Raises ImportError that says how to install it."""
    return _load("pybreaker", "guarded()")


def _load(name: str, caller: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{caller} needs {name}, which cannot be imported ({error}); {INSTALL}") from error
