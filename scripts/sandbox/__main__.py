"""Starts the command line: `python3 scripts/sandbox` puts this folder, and so its package, on the import path."""

from __future__ import annotations

import sys

from sandbox.cli import main

if __name__ == "__main__":
    sys.exit(main())
