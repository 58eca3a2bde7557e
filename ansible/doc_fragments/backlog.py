"""The options of the modules that may restart a collector with unsent data."""

from __future__ import annotations


class ModuleDocFragment:
    """Merged by `ansible-doc` where a module extends `backlog`."""

    DOCUMENTATION = r"""
options:
  guard_seconds:
    description: Seconds that a restart, which an upgrade is too, waits for a backlog to be sent.
    type: int
    default: 120
  restart_with_backlog:
    description: Restart or upgrade even if the backlog is lost.
    type: bool
    default: false
"""
