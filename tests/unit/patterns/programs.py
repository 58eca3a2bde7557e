"""Programs that use the patterns, run as real processes, and what they leave in the store and at an OTLP endpoint."""

from __future__ import annotations

import textwrap

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver, Received

HEAD = """
import asyncio, os, signal, sys, threading
from hypertool import ObservableLLM, QualityGateFailed, WorkflowTracer
from hypertool.patterns import *
from hypertool.spans import span as spans
def reply(prompt, tokens):
    return {"model": "simulated", "usage": {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}}
async def reply_later(prompt, tokens):
    await asyncio.sleep(0)
    return reply(prompt, tokens)
llm, llm_async = ObservableLLM(reply, "simulated"), ObservableLLM(reply_later, "simulated")
"""
FLUSH = """
assert spans.sink() is None or spans.sink().flush(20)
"""
OK, ERROR = 0, 2


def run(host: Host, code: str) -> str:
    """Run a program that must succeed and print only its own output, which is returned."""
    done = host.python(HEAD + textwrap.dedent(code) + FLUSH)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def gates(host: Host) -> dict[str, str]:
    """Passes and fails of each stage and step, as in `2 pass, 1 fail`; one workflow."""
    found: dict[str, list[str]] = {}
    for (_, stage, result), count in sorted(host.counters("qg").items(), reverse=True):
        found.setdefault(stage, []).append(f"{count} {result}")
    return {stage: ", ".join(counts) for stage, counts in found.items()}


def tokens(host: Host) -> dict[str, int]:
    """Tokens by persona."""
    found: dict[str, int] = {}
    for (persona, _, _), count in host.counters("tok").items():
        found[persona] = found.get(persona, 0) + count
    return found


def tree(receiver: OtlpReceiver, root: str = "") -> list[str]:
    """The spans as indented lines, in the order of their start; errors are marked."""
    lines: list[str] = []

    def show(parent: str, depth: int) -> None:
        children = [span for span in receiver.spans if span.parent_id == parent]
        for span in sorted(children, key=lambda child: child.start):
            lines.append("  " * depth + span.name + (" !" if span.status == ERROR else ""))
            show(span.span_id, depth + 1)

    show(root, 0)
    return lines


def named(receiver: OtlpReceiver, name: str) -> list[Received]:
    """The spans of a name, in the order of their start."""
    return sorted((span for span in receiver.spans if span.name == name), key=lambda span: span.start)
