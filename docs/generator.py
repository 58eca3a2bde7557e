"""`python3 -m docs.generator` writes docs/settings.md and the JSON Schemas from the package's tables; `--check` only
compares.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hypertool.domain import schemas
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
    """Write the files, or with --check compare them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m docs.generator", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check = parser.parse_args().check
    outdated = 0
    for path, text in {PAGE: page(), **schemas.files()}.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        outdated += 1
        if check:
            print(f"{path.name} is out of date: run make generate")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.name}")
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
