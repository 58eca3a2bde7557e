"""Modules of the standard library without what their Python part adds: milliseconds for which an agent would wait.

`sqlite3` without its adapters for dates (`datetime`), `signal` without its enumerations. The classes, errors and
functions are the same ones.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    import signal as signal
    import sqlite3 as sqlite3
else:
    try:
        import _signal as signal
        import _sqlite3 as sqlite3
    except ImportError:  # an interpreter that has them in another form
        import signal  # noqa: F401
        import sqlite3  # noqa: F401
