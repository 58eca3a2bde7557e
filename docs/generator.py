"""`python3 -m docs.generator` writes docs/settings.md from the package's table; `--check` only compares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hypertool.runtime import settings

PAGE = Path(__file__).resolve().parent / "settings.md"
TEXT = """\
# Settings

<!-- Generated from instrumentation/hypertool/runtime/settings.py by `make generate`; do not edit. -->

The package reads these environment variables. The services read them from their units, which the playbook writes.

| variable | meaning | default |
|---|---|---|
{rows}

Standard variables apply as well: `OTEL_*` ([llm-calls.md](llm-calls.md) lists which), `LANGFUSE_PUBLIC_KEY`,
`LANGFUSE_SECRET_KEY`, and `LANGFUSE_BASE_URL` or `LANGFUSE_HOST`. Other parts have variables of their own: the pipeline
([alloy](../alloy/README.md)), the playbook ([ansible](../ansible/README.md)), the sandbox
([scripts/sandbox](../scripts/sandbox/README.md)).
"""


def page() -> str:
    """The text of docs/settings.md."""
    rows = [f"| `{one.name}` | {one.meaning} | {one.default} |" for one in settings.ALL]
    return TEXT.format(rows="\n".join(rows))


def main() -> int:
    """Write the page, or with --check compare it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m docs.generator", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")
    check = parser.parse_args().check
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    if check:
        print("docs/settings.md is out of date: run make generate")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    print("wrote docs/settings.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
