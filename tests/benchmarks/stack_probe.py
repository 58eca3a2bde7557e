"""Run where the stack runs: `ready URL...` waits until all answer and prints the seconds, `usage PID...` what they use.

Standard library only; the text of this file is also given to `python3 -c` on a host.
"""

import json
import sys
import time
import urllib.request


def ready(urls: "list[str]", limit: float = 120.0) -> float:
    """Seconds until every address answered."""
    began = time.monotonic()
    for url in urls:
        while True:
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    answer.read()
                break
            except OSError as error:
                if time.monotonic() > began + limit:
                    raise TimeoutError(f"waited {limit:g} s for {url} to answer, in vain: {error}") from error
                time.sleep(0.02)
    return time.monotonic() - began


def usage(pids: "list[str]") -> "dict[str, int]":
    """Sums over processes: kB of anonymous and of resident memory, clock ticks of processor time since they started."""
    total = {"anonymous": 0, "resident": 0, "ticks": 0}
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            status = dict(line.split(":", 1) for line in file)
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        total["anonymous"] += int(status["RssAnon"].split()[0])
        total["resident"] += int(status["VmRSS"].split()[0])
        total["ticks"] += int(fields[11]) + int(fields[12])
    return total


if __name__ == "__main__":
    command, arguments = sys.argv[1], sys.argv[2:]
    print(json.dumps(ready(arguments) if command == "ready" else usage(arguments)))
