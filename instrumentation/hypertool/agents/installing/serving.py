"""Installs and uninstalls the tools of `hypertool mcp` in one agent's MCP settings; the rest stays byte for byte."""

from __future__ import annotations

from ...errors import HypertoolError
from . import applying, files, jsonc, plans, tools
from .applying import Result
from .files import CannotEdit
from .tools import Place


def install(place: Place, program: str, check: bool = False) -> Result:
    """Add the entry; with `check` only say whether that would change the file.

    Raises CannotEdit, also without the MCP SDK; then nothing has changed.
    """
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        raise CannotEdit("the tools need the MCP SDK: pip install 'hypertool-observability[mcp]'")
    applying.check_place(place.path, place.within)
    before = files.read(place.path)
    after = tools.with_entry(place, applying.text_of(place.path, before), (program, tools.MCP)).encode()
    if after == before:
        return _result(place, False, "installed already")
    files.check_writable(place.path)
    if not check:
        applying.replace(place.path, before, after, 0o600)
    return _result(place, True, "would be installed" if check else "installed")


def uninstall(place: Place, check: bool = False) -> Result:
    """Remove the entry; restores the earlier bytes if nothing else has changed since. Raises CannotEdit."""
    applying.check_place(place.path, place.within)
    now = files.read(place.path)
    text = applying.text_of(place.path, now)
    without = tools.without_entry(place, text)
    if without == text:
        return _result(place, False, "not installed")
    files.check_writable(place.path)
    if not check:
        applying.undo(place.path, without.encode(), now, _hooks_in(place, without))
    return _result(place, True, "would be uninstalled" if check else "uninstalled")


def installed(place: Place) -> list[str]:
    """The installed command; empty if there is none. Raises CannotEdit."""
    return tools.command_in(place, applying.text_of(place.path, files.read(place.path)))


def chosen_by_repository(place: Place) -> list[str]:
    """Keys of our entry in a project's file that only its user may choose. Raises CannotEdit."""
    return tools.chosen_by_repository(place, applying.text_of(place.path, files.read(place.path)))


def in_text(agent: str, text: str) -> bool:
    """Whether a settings file of hooks has our entry, too."""
    try:
        return bool(tools.command_in(Place(agent, "", "mcpServers"), text))
    except HypertoolError:
        return False


def _hooks_in(place: Place, text: str) -> bool:
    if place.path.endswith(".toml"):
        return False
    document = jsonc.parse(text).plain()
    hooks = document.get("hooks") if isinstance(document, dict) else None
    return isinstance(hooks, dict) and any(
        plans.is_ours(place.agent, item, event)
        for event, items in hooks.items()
        for item in (items if isinstance(items, list) else ())
    )


def _result(place: Place, changed: bool, what: str) -> Result:
    return Result(place.agent, place.path, changed, what, "tools")
