"""The host's store: snapshots of live processes, an archive of finished ones, and their exact merge."""

from __future__ import annotations

from .directory import StateDirectory, locate
from .facade import BudgetState, HostState, Store

__all__ = ["BudgetState", "HostState", "StateDirectory", "Store", "locate"]
