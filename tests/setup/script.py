"""Where the set-up script and its parts are, and the type of what runs them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SCRIPT = TOP / "scripts" / "setup-native-observability.sh"
PARTS = TOP / "scripts" / "lib" / "setup"

Run = Callable[..., "subprocess.CompletedProcess[str]"]
