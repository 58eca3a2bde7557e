"""`python -m tests.support.cloud DIRECTORY [--address A]`: the stand-in as a program.

Prints one line of JSON (environment variables, token, CA file), then obeys lines on stdin: `fault SERVICE KIND`
(KIND `none`: well again), `counts`. It ends with the end of its input.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import cloud_stand_in


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.cloud", description="A stand-in for Grafana Cloud")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--address", default="127.0.0.1")
    arguments = parser.parse_args()
    with cloud_stand_in(arguments.directory, arguments.address) as cloud:
        about = {
            **cloud.environment(),
            "GRAFANA_CLOUD_TOKEN": cloud.token,
            "GRAFANA_CLOUD_READ_TOKEN": cloud.read_token,
            "CA_FILE": str(cloud.ca_file),
        }
        print(json.dumps(about), flush=True)
        for line in sys.stdin:
            words = line.split()
            if len(words) == 3 and words[0] == "fault":
                try:
                    cloud.fault(words[1], None if words[2] == "none" else words[2])
                    print("ok", flush=True)
                except (KeyError, ValueError) as error:
                    print(f"error: {error}", flush=True)
            elif words == ["counts"]:
                counts = {name: front.counts for name, front in cloud.fronts.items()}
                print(json.dumps({**counts, "spans": len(cloud.spans()), "lines": len(cloud.lines())}), flush=True)
            else:
                print(f"error: not understood: {line.strip()!r}", flush=True)


if __name__ == "__main__":
    main()
