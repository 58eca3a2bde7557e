"""JSON with comments and trailing commas, parsed with positions, for editing a text in place."""

from __future__ import annotations

import json
import re

from ...errors import HypertoolError
from ...runtime.light_typing import Any, NamedTuple

MAX_DEPTH = 200
_SPACE = re.compile(r"(?:[ \t\r\n]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")


class Node(NamedTuple):
    """A value; its text is `[start, end)`. `members` of an object, `items` of an array, `value` of a scalar."""

    kind: str
    start: int
    end: int
    value: Any = None
    members: tuple[tuple[str, int, Node], ...] = ()
    items: tuple[Node, ...] = ()

    def member(self, name: str) -> Node | None:
        """The value of a member; of several with the same name the last one, as in every JSON parser."""
        found = None
        for key, _, node in self.members:
            if key == name:
                found = node
        return found

    def plain(self) -> Any:
        """The value as a Python object."""
        if self.kind == "object":
            return {key: node.plain() for key, _, node in self.members}
        if self.kind == "array":
            return [item.plain() for item in self.items]
        return self.value


class NotJson(HypertoolError):
    """A text that is not JSON, with the line of the error."""


def parse(text: str) -> Node:
    """The value that is the whole text. Raises NotJson with line and column."""
    at = _skip(text, 1 if text.startswith("\ufeff") else 0)
    node, end = _value(text, at, 0)
    end = _skip(text, end)
    if end != len(text):
        raise _wrong(text, end, "nothing more")
    return node


def _value(text: str, at: int, depth: int) -> tuple[Node, int]:
    if depth > MAX_DEPTH:
        raise _wrong(text, at, f"at most {MAX_DEPTH} levels")
    if text.startswith("{", at):
        return _object(text, at, depth)
    if text.startswith("[", at):
        return _array(text, at, depth)
    if text.startswith('"', at):
        value, end = _string(text, at)
        return Node("scalar", at, end, value), end
    found = _SCALAR.match(text, at)
    if found is None:
        raise _wrong(text, at, "a value")
    try:
        return Node("scalar", at, found.end(), json.loads(found[0])), found.end()
    except ValueError:  # Python limits the digits of an integer.
        raise _wrong(text, at, "a number with fewer digits") from None


def _object(text: str, start: int, depth: int) -> tuple[Node, int]:
    members: list[tuple[str, int, Node]] = []
    at = _skip(text, start + 1)
    while not text.startswith("}", at):
        key_at = at
        key, at = _string(text, at)
        at = _skip(text, at)
        if not text.startswith(":", at):
            raise _wrong(text, at, "':'")
        node, at = _value(text, _skip(text, at + 1), depth + 1)
        members.append((key, key_at, node))
        at = _after(text, at, "}")
    return Node("object", start, at + 1, members=tuple(members)), at + 1


def _array(text: str, start: int, depth: int) -> tuple[Node, int]:
    items: list[Node] = []
    at = _skip(text, start + 1)
    while not text.startswith("]", at):
        node, at = _value(text, at, depth + 1)
        items.append(node)
        at = _after(text, at, "]")
    return Node("array", start, at + 1, items=tuple(items)), at + 1


def _after(text: str, at: int, closing: str) -> int:
    """Skip the comma after a member, up to the next member or the closing bracket."""
    at = _skip(text, at)
    if text.startswith(",", at):
        return _skip(text, at + 1)
    if not text.startswith(closing, at):
        raise _wrong(text, at, f"',' or '{closing}'")
    return at


def _string(text: str, at: int) -> tuple[str, int]:
    found = _STRING.match(text, at)
    if found is None:
        raise _wrong(text, at, "a text in double quotes")
    try:
        return str(json.loads(found[0])), found.end()
    except ValueError:
        raise _wrong(text, at, "a text with valid escapes") from None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at


def _wrong(text: str, at: int, expected: str) -> NotJson:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return NotJson(f"line {line}, column {column}: expected {expected}, found {text[at : at + 20]!r}")


def insert(text: str, container: Node, new: str, indent: str, outer: str) -> str:
    """The text with `new` (a member or an item) inserted first in an object or array.

    First, because the rest then keeps its comments, its commas and its last line. `indent` is the indentation of the
    new part, `outer` that of the container's own line.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    written = newline + indent + new.replace("\n", newline + indent)
    rest = text[container.start + 1 :]
    if container.members or container.items:
        return text[: container.start + 1] + written + "," + rest
    closing = "" if "\n" in text[container.start : container.end] else newline + outer
    return text[: container.start + 1] + written + closing + rest


def remove(text: str, container: Node, part_start: int, part_end: int) -> str:
    """The text without a member or item, and without its comma and white space."""
    after = _skip(text, part_end)
    if text.startswith(",", after):
        end = after + 1
    else:
        end = part_end
        before = text[container.start + 1 : part_start].rstrip()
        if before.endswith(","):  # the last one: also remove the comma before it, unless the file uses trailing commas
            part_start = container.start + 1 + len(before) - 1
            return text[:part_start] + text[end:]
    start = part_start
    while text[start - 1] in " \t":
        start -= 1
    if text[start - 1] == "\n":
        start -= 1
        if text[start - 1] == "\r":
            start -= 1
    return text[:start] + text[end:]
