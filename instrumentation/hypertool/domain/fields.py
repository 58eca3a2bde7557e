"""Fields of configuration files in tables: one description gives the check, its error messages and the JSON Schema."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ..runtime.light_typing import Any, NamedTuple

Path = tuple[str | int, ...]
SCHEMA = "https://json-schema.org/draft/2020-12/schema"


class Problem(NamedTuple):
    """What is wrong with a value: its path in the document, the reason, and what to do."""

    path: Path
    reason: str
    remedy: str


class Kind:
    """What a value must be."""

    def problems(self, value: Any, path: Path) -> list[Problem]:
        """Everything wrong with the value."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """The same rule as a JSON Schema."""
        raise NotImplementedError

    def _wrong(self, value: Any, path: Path, expected: str) -> list[Problem]:
        name = path[-1] if path and isinstance(path[-1], str) else "the value"
        return [Problem(path, f"{name} = {shown(value)}", f"expected {expected}")]


def shown(value: Any) -> str:
    """A value for a message: on one line, bounded, and with letters that only look like others as escapes."""
    try:
        text = ascii(value)
    except ValueError:  # A whole number of thousands of digits: Python does not write it.
        text = "a number with too many digits"
    return text if len(text) <= 60 else text[:57] + "..."


class Text(Kind):
    """A text; `pattern` must match all of it (ECMA syntax that Python shares), `reserved` values are refused."""

    def __init__(
        self, expected: str, pattern: str = r"[\s\S]*", longest: int = 4000, reserved: tuple[str, ...] = ()
    ) -> None:
        self.expected = expected
        self.pattern = pattern
        self.longest = longest
        self.reserved = reserved
        self._compiled = re.compile(pattern)

    def problems(self, value: Any, path: Path) -> list[Problem]:
        if (
            isinstance(value, str)
            and len(value) <= self.longest
            and value not in self.reserved
            and self._compiled.fullmatch(value)
        ):
            return []
        # YAML and TOML make `on`, `5` and `2026-11-26` something else.
        return self._wrong(value, path, self.expected if isinstance(value, str) else f"{self.expected}, in quotes")

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "string", "pattern": f"^(?:{self.pattern})$", "maxLength": self.longest}
        if self.reserved:
            found["not"] = {"enum": list(self.reserved)}
        return found


class Count(Kind):
    """A whole number."""

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def problems(self, value: Any, path: Path) -> list[Problem]:
        whole = (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and value.is_integer()
        )
        if whole and self.least <= value <= self.most:
            return []
        return self._wrong(value, path, f"a whole number from {self.least} to {self.most}")

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Number(Kind):
    """A number, not necessarily whole."""

    def __init__(self, least: float, most: float) -> None:
        self.least = least
        self.most = most

    def problems(self, value: Any, path: Path) -> list[Problem]:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self._within(value):
            return []
        return self._wrong(value, path, f"a number from {self.least:g} to {self.most:g}")

    def _within(self, value: float) -> bool:
        return (isinstance(value, int) or not math.isnan(value)) and self.least <= value <= self.most

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.least, "maximum": self.most}


class Flag(Kind):
    """True or false."""

    def problems(self, value: Any, path: Path) -> list[Problem]:
        return [] if isinstance(value, bool) else self._wrong(value, path, "true or false")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Choice(Kind):
    """One of a few texts."""

    def __init__(self, *values: str) -> None:
        self.values = values

    def problems(self, value: Any, path: Path) -> list[Problem]:
        if isinstance(value, str) and value in self.values:
            return []
        return self._wrong(value, path, f"one of {', '.join(self.values)}")

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.values)}


class Anything(Kind):
    """A key that is not ours: any value."""

    def problems(self, value: Any, path: Path) -> list[Problem]:
        return []

    def schema(self) -> dict[str, Any]:
        return {}


class Either(Kind):
    """One of two kinds; `expected` is the message where neither fits."""

    def __init__(self, one: Kind, other: Kind, expected: str) -> None:
        self.one = one
        self.other = other
        self.expected = expected

    def problems(self, value: Any, path: Path) -> list[Problem]:
        if self.one.problems(value, path) and self.other.problems(value, path):
            return self._wrong(value, path, self.expected)
        return []

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.one.schema(), self.other.schema()]}


class Many(Kind):
    """A list of one kind."""

    def __init__(self, item: Kind, what: str, least: int = 1, most: int = 50) -> None:
        self.item = item
        self.what = what
        self.least = least
        self.most = most

    def problems(self, value: Any, path: Path) -> list[Problem]:
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            return self._wrong(value, path, f"a list of {self.least} to {self.most} {self.what}")
        return [found for place, item in enumerate(value) for found in self.item.problems(item, (*path, place))]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema(), "minItems": self.least, "maxItems": self.most}


class Field(NamedTuple):
    """One key of a table: its kind, its meaning, and whether it must be there."""

    kind: Kind
    text: str
    required: bool = False


class Table(Kind):
    """A table with known keys."""

    def __init__(self, what: str, **fields: Field) -> None:
        self.what = what
        self.fields: Mapping[str, Field] = {name.replace("__", "-"): field for name, field in fields.items()}

    def problems(self, value: Any, path: Path) -> list[Problem]:
        if not isinstance(value, dict):
            return self._wrong(value, path, self.what)
        found = [self._unknown(key, path) for key in value if key not in self.fields]
        for name, field in self.fields.items():
            if name in value:
                found += field.kind.problems(value[name], (*path, name))
            elif field.required:
                found.append(Problem(path, f"{name!r} is missing", f"add {name}: {field.text}"))
        return found

    def _unknown(self, key: Any, path: Path) -> Problem:
        from difflib import get_close_matches

        close = get_close_matches(str(key), self.fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected {', '.join(self.fields)}"
        return Problem((*path, str(key)), f"unknown key {shown(key)}", hint)

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                name: {"description": field.text, **field.kind.schema()} for name, field in self.fields.items()
            },
            "required": [name for name, field in self.fields.items() if field.required],
            "additionalProperties": False,
        }


class Named(Kind):
    """Tables by their own names."""

    def __init__(self, name: Text, table: Kind, what: str, most: int = 100) -> None:
        self.name = name
        self.table = table
        self.what = what
        self.most = most

    def problems(self, value: Any, path: Path) -> list[Problem]:
        if not isinstance(value, dict) or len(value) > self.most:
            return self._wrong(value, path, f"at most {self.most} {self.what}")
        found: list[Problem] = []
        for name, table in value.items():
            if self.name.problems(name, ()):
                found.append(Problem((*path, name), f"the name {shown(name)}", f"expected {self.name.expected}"))
            found += self.table.problems(table, (*path, name))
        return found

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": self.name.schema(),
            "additionalProperties": self.table.schema(),
            "maxProperties": self.most,
        }
