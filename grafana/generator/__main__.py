"""`python3 -m grafana.generator` writes the dashboards; `--check` only says whether they are up to date."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from pathlib import Path

from . import agents, llm_cost, persona_overview, pipeline_health, workflow_performance

HERE = Path(__file__).resolve().parent

BUILDERS = {
    "agents.json": agents.build,
    "llm_cost.json": llm_cost.build,
    "persona_overview.json": persona_overview.build,
    "pipeline_health.json": pipeline_health.build,
    "workflow_performance.json": workflow_performance.build,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m grafana.generator", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    parser.add_argument(
        "--output", type=Path, default=HERE.parent / "dashboards", help="where the files are (%(default)s)"
    )
    arguments = parser.parse_args()
    stale = 0
    for name, build in BUILDERS.items():
        path: Path = arguments.output / name
        wanted = json.dumps(build(), indent=2, ensure_ascii=False) + "\n"
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if wanted == present:
            continue
        if arguments.check:
            stale += 1
            lines = difflib.unified_diff(
                present.splitlines(), wanted.splitlines(), f"{path}", f"{name} as generated", lineterm="", n=1
            )
            print("\n".join(list(lines)[:40]))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {path}")
    if stale:
        print(f"{stale} file(s) differ from the generator: run python3 -m grafana.generator", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
