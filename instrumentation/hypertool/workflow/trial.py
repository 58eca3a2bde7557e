"""Executes the commands of a prompt file with stub tools and a scripted agent, in a host of its own, and reads what was
measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..domain.front_matter import PromptFile
from ..domain.personas import Catalogue, user_file
from ..domain.workflows import SIMULATED_MODEL, Workflow
from ..runtime.settings import CONFIG, STATE_DIR
from ..store.directory import StateDirectory
from ..store.store import HostState, Store

MAX_KIB = 20_480  # what one command may write into one file
PLAN = "HYPERTOOL_TRIAL_PLAN"
_FENCE = re.compile(r"^(`{3,}|~{3,})[ \t]*([A-Za-z]*)")
_SHELLS = frozenset({"bash", "sh", "shell", "console"})
_WORD = re.compile(r"(?<![\w./$-])(?:\./[\w./+-]+|[A-Za-z_][\w.+-]*)")
# What a prompt's commands may really do; every other tool is a stub.
_REAL = (
    "sh",
    "bash",
    "env",
    "true",
    "false",
    "test",
    "cat",
    "printf",
    "echo",
    "mkdir",
    "touch",
    "grep",
    "sed",
    "head",
    "tail",
)
# All that a trial needs of the environment: a file that is only tried sees no credential.
_KEPT = ("LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "USER", "LOGNAME")
_STUB = """#!/bin/sh
echo call >> {log}
n=0
while read -r _; do n=$((n + 1)); done < {log}
set -- {codes}
while [ "$n" -gt 1 ] && [ "$#" -gt 1 ]; do shift; n=$((n - 1)); done
exit "$1"
"""


class Block(NamedTuple):
    """One fenced block of shell commands, and the line of its first command."""

    line: int
    text: str


class Ran(NamedTuple):
    """A block that was run: its line, exit code (None: out of time), and the last lines of its output."""

    line: int
    code: int | None
    output: str


class Trial(NamedTuple):
    """What was run and counted, how often each stub was called, and every difference from what is declared."""

    blocks: tuple[Ran, ...]
    counted: HostState
    calls: dict[str, int]
    problems: tuple[str, ...]


def blocks_of(prompt: PromptFile) -> list[Block]:
    """The shell blocks of a prompt file; of `console` blocks the lines that begin with `$ `."""
    found: list[Block] = []
    lines = prompt.body.split("\n")
    fence, kind, start = "", "", 0
    for number, line in enumerate(lines):
        opened = _FENCE.match(line.strip())
        if not fence and opened:
            fence, kind, start = opened[1], opened[2].lower(), number + 1
        elif fence and line.strip().startswith(fence):
            inner = lines[start:number]
            if kind == "console":
                inner = [one.strip()[2:] if one.strip().startswith("$ ") else "" for one in inner]
            if kind in _SHELLS and any(one.strip() for one in inner):
                found.append(Block(prompt.body_line + start, "\n".join(inner)))
            fence = ""
    return found


def try_out(
    prompt: PromptFile, workflow: Workflow, catalogue: Catalogue, exits: Mapping[str, Sequence[int]], seconds: float
) -> Trial:
    """Run the file's commands in order, until one fails.

    `exits` are the exit codes of stubs, one a call, the last repeated; other stubs exit with 0. `seconds` is the limit
    of one block.
    """
    blocks = blocks_of(prompt)
    with tempfile.TemporaryDirectory(prefix="hypertool-trial-") as name:
        root = Path(name)
        environment = _prepare(root, blocks, workflow, exits)
        ran: list[Ran] = []
        for block in blocks:
            ran.append(_run(block, root / "work", environment, seconds))
            if ran[-1].code != 0:
                break
        counted = Store(StateDirectory(root / "state")).read(catalogue)
        calls = {log.name: len(log.read_bytes().splitlines()) for log in sorted((root / "calls").iterdir())}
    return Trial(tuple(ran), counted, calls, tuple(_problems(workflow, catalogue, blocks, ran, counted)))


def _prepare(root: Path, blocks: list[Block], workflow: Workflow, exits: Mapping[str, Sequence[int]]) -> dict[str, str]:
    for folder in ("bin", "work/.git", "home", "state", "calls"):
        (root / folder).mkdir(parents=True)
    words = {word for block in blocks for word in _WORD.findall(block.text)} | set(exits)
    for word in sorted(words - set(_REAL)):
        target = root / "work" / word if word.startswith("./") else root / "bin" / word
        if ".." in word.split("/") or target.exists():
            continue
        log = root / "calls" / word.removeprefix("./").replace("/", "-")
        codes = " ".join(str(code) for code in exits.get(word, (0,)))
        _program(target, _STUB.format(log=shlex.quote(str(log)), codes=codes))
    for word in _REAL:
        real = shutil.which(word)
        if real is not None and word not in exits:
            (root / "bin" / word).symlink_to(real)
    for word, function in (("hypertool", "main"), ("tta-persona", "main_persona")):
        code = (
            f"import sys; from hypertool.workflow.trial import act; act({word!r}, sys.argv[1:]); "
            f"from hypertool.cli import {function}; sys.exit({function}())"
        )
        path = root / "bin" / word
        path.unlink(missing_ok=True)
        _program(path, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith("LC_")}
    plan = {stage.name: [stage.persona, stage.chatmode, stage.tokens] for stage in workflow.stages}
    settings = {CONFIG.name: CONFIG.read()} if CONFIG.read() else {"XDG_CONFIG_HOME": str(user_file().parent.parent)}
    return {
        **kept,
        **settings,
        "PATH": str(root / "bin"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "HOME": str(root / "home"),
        STATE_DIR.name: str(root / "state"),
        PLAN: json.dumps(plan),
    }


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _run(block: Block, where: Path, environment: Mapping[str, str], seconds: float) -> Ran:
    bash = os.path.join(environment["PATH"], "bash")
    with tempfile.TemporaryFile(dir=where.parent) as output:
        process = subprocess.Popen(
            [bash, "-e", "-o", "pipefail", "-c", f"ulimit -f {MAX_KIB}; {block.text}"],
            cwd=where,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        with contextlib.suppress(ProcessLookupError):  # Also what a block left in the background.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - 4000))
        last = output.read().decode("utf-8", "replace").splitlines()[-5:]
    return Ran(block.line, code, "\n".join(last))


def act(program: str, arguments: list[str]) -> None:
    """The scripted agent: before the gate of a stage it uses the stage's planned tokens, as that persona."""
    if program != "hypertool" or arguments[:1] != ["gate"] or "--stage" not in arguments[:-1]:
        return
    plan = json.loads(os.environ.get(PLAN, "{}"))
    persona, chatmode, tokens = plan.get(arguments[arguments.index("--stage") + 1], (None, None, 0))
    if tokens:
        from ..metrics.collector import get_persona_metrics
        from .command import hold_signals

        hold_signals()  # Before the publisher's thread exists: it would get the signals that the gate waits for.
        get_persona_metrics().record_token_usage(persona, chatmode, SIMULATED_MODEL, tokens)


def _problems(
    workflow: Workflow, catalogue: Catalogue, blocks: list[Block], ran: list[Ran], counted: HostState
) -> list[str]:
    found = []
    if not blocks:
        found.append("the file has no block of shell commands; expected at least one ```bash block")
    for block in ran:
        if block.code != 0:
            how = "ran out of time" if block.code is None else f"ended with exit code {block.code}"
            left = len(blocks) - len(ran)
            found.append(
                f"line {block.line}: the commands {how}{f'; {left} later blocks were not run' if left else ''}"
            )
    gates = {(key[1], key[2]) for key, count in counted.gates.items() if key[0] == workflow.name and count}
    for stage in workflow.stages:
        results = {result for name, result in gates if name == stage.name}
        if not results:
            found.append(f"the stage {stage.name} has no gate: no `hypertool gate --stage {stage.name}` was run")
        elif "fail" in results:
            found.append(f"the gate of the stage {stage.name} failed")
        done_by = {key[2] for key, n in counted.stages.items() if key[:2] == (workflow.name, stage.name) and n}
        for persona in sorted(done_by - {stage.persona}):
            found.append(f"the stage {stage.name} was done by {persona}, and is declared for {stage.persona}")
        if not any(key[1] == stage.persona and key[2] == stage.chatmode for key in counted.switches):
            found.append(f"no switch to {stage.persona} with the chatmode {stage.chatmode} for the stage {stage.name}")
    declared = {stage.name for stage in workflow.stages}
    for key in sorted({key[:2] for key, count in counted.gates.items() if count}):
        if key[0] != workflow.name or key[1] not in declared:
            found.append(f"a gate was recorded for {key[0]} / {key[1]}, which is no stage of {workflow.name}")
    used = sum(counted.tokens.values())
    if workflow.token_budget is not None and used > workflow.token_budget:
        found.append(f"{used} tokens were used, more than the token_budget of {workflow.token_budget}")
    for name, budget in sorted(counted.budgets.items()):
        mine = sum(tokens for key, tokens in counted.tokens.items() if key[0] == name)
        limit = catalogue.resolve(name).tokens_in(workflow.name) if budget.window == "run" else budget.limit
        if mine > limit:
            found.append(f"{mine} tokens of {name} were used, more than its budget of {limit}")
    return found
