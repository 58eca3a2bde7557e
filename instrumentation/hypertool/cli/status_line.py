"""`hypertool status --line` and `--watch`: the state in one line, and the budgets on a screen that follows them."""

from __future__ import annotations

import sys
import time

from ..runtime.light_typing import TYPE_CHECKING
from .output import visible

if TYPE_CHECKING:
    from ..domain.personas import Catalogue

#: How often the screen is drawn, in seconds.
_AGAIN = 2.0
_BAR = 24


def print_line(catalogue: Catalogue) -> int:
    """Persona, chatmode and budget in one line, for the status bar of an agent or a shell."""
    print(_line(catalogue))
    return 0


def watch(catalogue: Catalogue) -> int:
    """Follow the budgets until interrupted: a screen on a terminal, elsewhere a line for each change."""
    if not sys.stdout.isatty():
        return _follow(catalogue)
    # The alternate screen: what was on the terminal before comes back at the end.
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    try:
        while True:
            rows = "".join(f"{row}\x1b[K\n" for row in _screen(catalogue))
            sys.stdout.write(f"\x1b[H{rows}\x1b[J")
            sys.stdout.flush()
            time.sleep(_AGAIN)
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()


def _follow(catalogue: Catalogue) -> int:
    last = ""
    while True:
        line = _line(catalogue)
        if line != last:
            print(line, flush=True)
            last = line
        time.sleep(_AGAIN)


def _line(catalogue: Catalogue) -> str:
    from ..runtime.workspace import find_workspace
    from ..store.sessions import Sessions
    from ..store.store import Store

    active = Sessions(find_workspace()).read()
    if active is None:
        return "no persona"
    left = Store.locate().read(catalogue).budgets.get(active.persona)
    budget = f" {left.remaining:,} of {left.limit:,} tokens left" if left else ""
    return visible(f"{active.persona} ({active.chatmode}){budget}")


def _screen(catalogue: Catalogue) -> list[str]:
    from ..store.store import Store

    budgets = Store.locate().read(catalogue).budgets
    rows = [f"{time.strftime('%H:%M:%S')}  {_line(catalogue)}", ""]
    for name, left in sorted(budgets.items()):
        share = max(0.0, min(1.0, left.remaining / left.limit)) if left.limit else 0.0
        full = round(share * _BAR)
        note = "  over the limit" if left.remaining < 0 else ""
        bar = "█" * full + "·" * (_BAR - full)
        rows.append(f"{visible(name):22.22} {bar} {left.remaining:>9,} of {left.limit:,} ({left.window}){note}")
    return [*rows, "", "Ctrl-C ends"]
