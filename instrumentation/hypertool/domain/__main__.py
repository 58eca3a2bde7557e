"""Writes `personas.json` from `personas.toml` (`--check` compares): `python3 -m hypertool.domain`."""

from __future__ import annotations

import json
import sys

from .personas import DEFAULTS_PARSED, default_file
from .toml_files import TomlFile


def main() -> int:
    """Returns 1 if `--check` finds a difference."""
    text = json.dumps(TomlFile(default_file()).document, indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        if DEFAULTS_PARSED.read_text() != text:
            print(f"{DEFAULTS_PARSED} differs from {default_file().name}; run `make generate`")
            return 1
    else:
        DEFAULTS_PARSED.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
