"""The types of what came out of JSON: tables by name, and rows of mixed values."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Row = list[Any]
