"""`pathlib` without `urllib.parse`, which takes 2 ms to import; before Python 3.13 it is imported for Path.as_uri."""

from __future__ import annotations

import sys


def import_light() -> None:
    """Import `pathlib`; `urllib.parse` follows when somebody needs it."""
    name = "urllib.parse"
    if sys.version_info >= (3, 13) or name in sys.modules or "pathlib" in sys.modules:
        return
    from types import ModuleType

    stand_in = ModuleType(name)
    stand_in.quote_from_bytes = _quote_from_bytes  # type: ignore[attr-defined]
    sys.modules[name] = stand_in
    try:
        import pathlib  # noqa: F401
    finally:
        del sys.modules[name]


def _quote_from_bytes(*given: str | bytes) -> str:
    from urllib.parse import quote_from_bytes

    return quote_from_bytes(*given)  # type: ignore[arg-type]
