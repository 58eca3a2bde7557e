"""The fenced blocks of ALERT_RUNBOOK.md: the one place that says what they are, for all tests that run them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

RUNBOOK = Path(__file__).resolve().parents[2] / "prometheus" / "ALERT_RUNBOOK.md"
# The runbook's table of things to fill in; a test sets these before it runs a block.
PLACEHOLDERS = {"LANGFUSE_HOST": "http://127.0.0.1:9090"}
# What only an installed host has: programs that need its units, the addresses of our own services, and its store.
HOST_ONLY = frozenset({"systemctl", "journalctl", "ss", "timedatectl"})
# Blocks for one collector are marked with its name after the language: ```bash alloy, ```bash agent.
COLLECTORS = frozenset({"alloy", "agent"})
OF_A_COLLECTOR = frozenset({
    "alloy", "apt-mark", "dpkg-query", "id", "sort", "stat", "tail", "uniq",
})  # fmt: skip
HOST_PLACES = ("127.0.0.1:9464", "127.0.0.1:9465", "/var/lib/hypertool")
EVERYWHERE = frozenset(
    {"curl", "promtool", "amtool", "lslocks", "awk", "xargs", "cat", "env", "nproc", "df", "du", "find"}
)
ALLOWED = HOST_ONLY | EVERYWHERE | OF_A_COLLECTOR | {"hypertool", "tta-persona"}
HEADING = re.compile(r"^(#+) (.+)$")
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block: its `##` section, `###` part, language, the words after it, first line and text."""

    section: str
    part: str
    language: str
    flags: frozenset[str]
    line: int
    text: str

    @property
    def id(self) -> str:
        return f"{self.section.replace(' ', '-')}-line{self.line}"

    @property
    def commands(self) -> list[str]:
        """The first word of every command of a bash block, the ones in pipes and in $( ) included."""
        unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "''", self.text)
        parts = re.split(r"\n|\||\$\(|&&|;", unquoted)
        return [part.split()[0] for part in parts if part.split()]

    @property
    def needs_host(self) -> bool:
        """Whether it only works where hypertool is installed with its services."""
        special = bool(self.flags & COLLECTORS) or bool(HOST_ONLY.intersection(self.commands))
        return special or any(it in self.text for it in HOST_PLACES)


def sections(path: Path = RUNBOOK) -> dict[str, list[str]]:
    """Section heading -> headings of its parts, in order. Lines inside fences are no headings."""
    found: dict[str, list[str]] = {}
    inside, section = False, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside and (heading := HEADING.match(line)):
            if heading[1] == "##":
                section = heading[2]
                found[section] = []
            elif heading[1] == "###":
                found[section].append(heading[2])
    return found


def blocks(path: Path = RUNBOOK) -> list[Block]:
    """Every fenced block of the runbook, in order."""
    found: list[Block] = []
    section = part = ""
    opened: re.Match[str] | None = None
    start, text = 0, list[str]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if fence and opened is None:
            opened, start, text = fence, number, []
        elif fence and opened is not None:
            words = opened["info"].split()
            found.append(Block(section, part, words[0] if words else "", frozenset(words[1:]), start, "\n".join(text)))
            opened = None
        elif opened is not None:
            text.append(line.removeprefix(opened["indent"]))
        elif heading := HEADING.match(line):
            if heading[1] == "##":
                section, part = heading[2], ""
            elif heading[1] == "###":
                part = heading[2]
    if opened is not None:
        raise ValueError(f"{path}: the block that starts in line {start} is never closed")
    return found


def pasteable(collector: str = "") -> list[Block]:
    """The bash blocks for a host: those of one collector (`alloy`, `agent`), or without a name those for any host.

    The latter are written for a host with a Prometheus of its own that scrapes and alerts.
    """
    if collector and collector not in COLLECTORS:
        raise ValueError(f"no collector {collector!r}; known: {', '.join(sorted(COLLECTORS))}")
    wanted = {collector} if collector else set()
    return [block for block in blocks() if block.language == "bash" and block.flags & COLLECTORS == wanted]
