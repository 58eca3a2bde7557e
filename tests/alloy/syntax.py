"""Just enough of Alloy's syntax to ask what a file contains: blocks, their labels and the text of their attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\]|\\.)*"|`[^`]*`|[A-Za-z_][\w.]*|[{}\[\](),]|\n|[^\s]', re.DOTALL)
_OPENING, _CLOSING = "{[(", "}])"


@dataclass
class Block:
    """`kind "label" { ... }`; attributes by name, as they are written, without spaces."""

    kind: str
    label: str
    attributes: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def everything(self) -> Iterator[Block]:
        """The block and all blocks in it."""
        yield self
        for block in self.blocks:
            yield from block.everything()


def parse(text: str) -> list[Block]:
    """The blocks of a file. ValueError where it does not look like one."""
    tokens = [token for token in _TOKEN.findall(text) if not token.startswith(("//", "/*"))]
    root = Block("", "")
    rest = _body(tokens, 0, root)
    if rest != len(tokens):
        raise ValueError(f"unbalanced braces near {' '.join(tokens[rest : rest + 5])!r}")
    return root.blocks


def _body(tokens: list[str], at: int, into: Block) -> int:
    while at < len(tokens) and tokens[at] != "}":
        if tokens[at] == "\n":
            at += 1
        elif tokens[at + 1] == "=":
            at = _attribute(tokens, at, into)
        else:
            at = _block(tokens, at, into)
    return at


def _attribute(tokens: list[str], at: int, into: Block) -> int:
    name, at, depth, value = tokens[at], at + 2, 0, ""
    while at < len(tokens) and (depth or tokens[at] not in ("\n", "}")):
        depth += (tokens[at] in _OPENING) - (tokens[at] in _CLOSING)
        value += "" if tokens[at] == "\n" else tokens[at]
        at += 1
    into.attributes[name] = value
    return at


def _block(tokens: list[str], at: int, into: Block) -> int:
    block = Block(tokens[at], "")
    at += 1
    if tokens[at].startswith('"'):
        block.label = tokens[at][1:-1]
        at += 1
    if tokens[at] != "{":
        raise ValueError(f"expected a block near {' '.join(tokens[at - 2 : at + 3])!r}")
    at = _body(tokens, at + 1, block)
    if at >= len(tokens):
        raise ValueError(f"the block {block.kind} {block.label!r} does not end")
    into.blocks.append(block)
    return at + 1
