"""Files that a hostile member may leave in a store: random bytes, and whole snapshots with something odd in them."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from typing import Any

ODD: list[Any] = [
    0, 1, -1, 2**31, 2**53, 10**15, 10**15 + 1, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, -(2**63),
    0.5, -0.0, 1e13, 1e300, float("nan"), float("inf"), float("-inf"), 1_700_000_000.0, 4e9, 9.9e11,
    True, False, None, "", "x", "other", "none", "unknown", "a" * 101, "a" * 100_000, "\x00", "\n", "\u200b", "\ud800",
    "<!channel>", "{{x}}", "../../x", "/etc/passwd", "backend-engineer", "pass", "run", "day", "__class__",
    [], [[]], [1, 2, 3], {}, {"a": {}}, ["tok"], ["tok", "p", "c"], ["tok", "p", "c", "m", "e", 1], [None] * 5,
]  # fmt: skip
NAMES = ["tok", "sw", "qg", "st", "pd", "llm", "lld", "usd", "miss", "exp", "of", "ok", "exc", "fol", "zzz", "", "wri"]
WORDS = [
    "backend-engineer",
    "data-scientist",
    "default",
    "gpt-4o",
    "version_bump",
    "package_release",
    "pass",
    "success",
]


class Hostile:
    """An endless supply, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def snapshots(self) -> Iterator[bytes]:
        """Content of files in `live`."""
        kinds = (self._mutated, self._mutated, self._mutated, self._flooding, self._random_bytes, self._cut, self._text)
        while True:
            yield self._random.choice(kinds)()

    def archives(self) -> Iterator[bytes]:
        """Content of archive files; most with a checksum that is right."""
        while True:
            data = self._snapshot() | {
                "generation": self._odd(3),
                "settled": self._odd(True),
                "folded": self._odd(["../../x", "a" * 32, 5]),
                "exceeded": self._odd([["p", 1, 2]]),
                "sets": self._odd({"5": 1}),
            }
            payload = _dump(self._mutate(data))
            yield payload if self._random.random() < 0.1 else b"%08x\n" % zlib.crc32(payload) + payload

    def registers(self) -> Iterator[bytes]:
        """Content of the registers: lines and objects."""
        while True:
            if self._random.random() < 0.5:
                rows = [[self._word(), self._word(), self._odd(5), self._odd(1.0)] for _ in range(5)]
                yield b"\n".join(_dump(self._mutate(row)) for row in rows)
            else:
                values = {self._word(): self._odd([1, 2, 3]) for _ in range(3)}
                yield _dump(self._odd({"resets": self._odd(values), "told": self._odd(values), **values}))

    def _word(self) -> str:
        return self._random.choice(WORDS) if self._random.random() < 0.7 else f"w{self._random.randrange(10**6)}"

    def _odd(self, usual: Any) -> Any:
        return self._random.choice(ODD) if self._random.random() < 0.15 else usual

    def _snapshot(self) -> dict[str, Any]:
        number = self._random.randrange
        key = [self._random.choice(NAMES), *(self._word() for _ in range(number(1, 5)))]
        return {
            "v": self._odd(1),
            "t": self._odd(1_700_000_000.0),
            "c": [["tok", self._word(), self._word(), self._word(), self._odd(number(10**6))] for _ in range(3)]
            + [[*key, self._odd(number(10**6))]],
            "h": [["st", self._word(), self._word(), self._word(), [1] * 13, 5, {}]],
            "m": [["ok", "langfuse", self._odd(10**15)]],
            "s": [[self._word(), self._word(), self._odd(1_700_000_000.0), True]],
            "p": [["otlp", self._odd(3)]],
            "a": [[self._word(), self._odd(5), self._odd(0)]],
            "e": [[self._word(), self._odd(1_700_000_000.0), self._odd(5), self._odd(0)]],
            "w": [[self._word(), self._odd(1_700_000_000), self._odd(0), self._odd(7)]],
            "r": [[self._word(), self._odd(7)]],
            "l": [[self._word(), self._odd(100), "run", self._odd(1_700_000_000.0)]],
            "g": [["claude-code", self._word(), self._odd(1_700_000_000.0), False, [[self._word(), 5, 0]]]],
        }

    def _mutate(self, value: Any) -> Any:
        """Replace something, somewhere."""
        if self._random.random() < 0.02:
            return self._random.choice(ODD)
        if isinstance(value, dict):
            return {key: self._mutate(item) for key, item in value.items() if self._random.random() > 0.01}
        if isinstance(value, list):
            items = [self._mutate(item) for item in value]
            return items + items[:1] if self._random.random() < 0.02 else items
        return value

    def _mutated(self) -> bytes:
        return _dump(self._mutate(self._snapshot()))

    def _flooding(self) -> bytes:
        data = self._snapshot()
        rows = self._random.choice((10, 100, 5000))
        data["c"] = [["tok", "backend-engineer", f"c{row}", f"m{row}", 1] for row in range(rows)]
        return _dump(data)

    def _random_bytes(self) -> bytes:
        return self._random.randbytes(self._random.choice((0, 1, 50, 5000)))

    def _cut(self) -> bytes:
        whole = self._mutated()
        return whole[: self._random.randrange(len(whole) + 1)]

    def _text(self) -> bytes:
        return self._random.choice(
            (b"[" * 100_000, b'{"v":1,' * 1000, b'{"v":1,"v":1,"c":[],"c":5}', b"[]," * 300_000, b"1" * 5000, b"null")
        )


def _dump(value: Any) -> bytes:
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except ValueError:  # more digits than Python writes
        return b'{"v":1,"t":' + b"9" * 400 + b"}"
