"""One contender in a process and environment of its own: `python worker.py MODULE NAME [URL]`.

Reads how many calls to make from each line of its input, and answers with the CPU seconds that they took: of the thread
that made them, and of the process, threads in the background and delivery included.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time


def main() -> None:
    module, name, url = sys.argv[1], sys.argv[2], "".join(sys.argv[3:])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # some peers print
    call, settle, per_call = importlib.import_module(module).CONTENDERS[name](url)
    for _ in range(max(1, 300 // per_call)):
        call()
    settle()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        count = range(max(1, int(line) // per_call))
        gc.collect()
        gc.disable()
        cpu, own = time.process_time(), time.thread_time()
        for _ in count:
            call()
        own = time.thread_time() - own
        settle()
        found = {"caller": own, "cpu": time.process_time() - cpu, "calls": len(count) * per_call}
        gc.enable()
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
