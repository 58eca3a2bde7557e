"""The line of every key of a TOML document, for error messages: the standard library's parser keeps none."""

from __future__ import annotations

import re
from bisect import bisect_right

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[\s,]|#[^\n]*)*")
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_OTHER = re.compile(r"[^,\]}\n#]*")


def key_lines(text: str) -> dict[Path, int]:
    """The line of each key and array element of a document that a TOML parser has accepted.

    A key's path holds the names of its tables and the numbers of array elements: `("workflows", "x", "stages", 0)`.
    """
    return _Scanner(text).document()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [found.end() for found in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}

    def document(self) -> dict[Path, int]:
        """Scan everything; what the scanner does not understand ends it, and the lines so far are right."""
        base: Path = ()
        while True:
            self._skip()
            if self._at >= len(self._text):
                return self._lines
            before = self._at
            if self._text[self._at] == "[":
                base = self._header()
            else:
                self._entry(base)
            if self._at == before:
                return self._lines

    def _header(self) -> Path:
        many = self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        self._skip()
        path: Path = ()
        names = self._key()
        for place, name in enumerate(names):
            path = (*path, name)
            self._note(path)
            if path in self._arrays and not (many and place == len(names) - 1):
                path = (*path, self._arrays[path])
        if many:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path = (*path, self._arrays[path])
        self._lines[path] = self._line()
        self._skip()
        while self._text.startswith("]", self._at):
            self._at += 1
        return path

    def _entry(self, base: Path) -> None:
        path = base
        for name in self._key():
            path = (*path, name)
            self._note(path)
        self._skip()
        if self._text.startswith("=", self._at):
            self._at += 1
            self._value(path)

    def _value(self, path: Path) -> None:
        self._skip()
        first = self._text[self._at : self._at + 1]
        if first in ("[", "{"):
            self._at += 1
            number = 0
            while True:
                self._skip()
                before = self._at
                if self._text[self._at : self._at + 1] in ("]", "}", ""):
                    self._at += 1
                    return
                if first == "[":
                    self._note((*path, number))
                    self._value((*path, number))
                    number += 1
                else:
                    self._entry(path)
                if self._at == before:
                    return
        else:
            found = _STRING.match(self._text, self._at) or _OTHER.match(self._text, self._at)
            self._at = found.end() if found is not None else self._at

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            text = _STRING.match(self._text, self._at)
            found = text or _BARE.match(self._text, self._at)
            if found is None:
                return names
            names.append(found[0][1:-1] if text is not None else found[0])
            self._at = found.end()
            dot = _DOT.match(self._text, self._at)
            if dot is None:
                return names
            self._at = dot.end()

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found is not None else self._at

    def _line(self) -> int:
        return bisect_right(self._starts, self._at) + 1

    def _note(self, path: Path) -> None:
        self._lines.setdefault(path, self._line())
