"""The recorded sessions as other versions might write them: a field renamed, dropped or of another type.

A call is then either exact or counted as unrecognised. A figure is never a guess, and nothing raises.
"""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypertool.agents.calls import AgentCall
from hypertool.agents.reading.read import Reading, read_file
from hypertool.agents.reading.registry import reader
from tests.agents import homes

Path_ = tuple[str | int, ...]
Records = list[Any]
AGENTS = [*homes.PLACES, "qwen-code", "opencode", "aider"]
# Absent or null, these are 0: providers and older versions leave them out.
OPTIONAL = {
    "cache_read_input_tokens", "cache_creation_input_tokens", "cached_input_tokens", "cache_write_input_tokens",
    "reasoning_output_tokens", "thinking_tokens", "output_tokens_details", "cacheReadTokens", "cacheWriteTokens",
    "reasoningTokens", "cached", "thoughts", "tool", "cached_content_token_count", "thoughts_token_count",
    "tool_token_count",
}  # fmt: skip
# Without them an answer is one that is still being written, or was cancelled.
UNFINISHED = {("cline", "metrics"), ("gemini-cli", "tokens"), ("auggie", "response_nodes"), ("auggie", "exchange")}
GONE = object()
# What Aider 0.86.2 writes of a call, with `--no-stream`.
AIDER = [
    {"event": "launched", "properties": {"aider_version": "0.86.2"}, "user_id": "u", "time": 1795659000},
    *(
        {
            "event": "message_send",
            "properties": {"main_model": "openai/REDACTED", "prompt_tokens": 1031 + number,
                           "completion_tokens": 200 + number, "total_tokens": 1231 + 2 * number, "cost": 0},
            "user_id": "u", "time": 1795659000 + number,
        }
        for number in (1, 2)
    ),
]  # fmt: skip
VALUES: dict[str, Callable[[Any], Any]] = {
    "dropped": lambda _: GONE,
    "null": lambda _: None,
    "text": lambda value: [value] if isinstance(value, str) else json.dumps(value),
    "list": lambda value: [value],
    "object": lambda value: {"value": value},
    "true": lambda _: True,
    "negative": lambda _: -1,
    "fraction": lambda _: 0.5,
    "huge": lambda _: 10**30,
    "infinite": lambda _: float("inf"),
}


def _session(home: Path, agent: str) -> tuple[Path, Records]:
    if agent == "opencode":
        messages = {f"msg_{number}": homes.opencode_message(number) for number in (1, 2)}
        return homes.opencode_database(home, messages), list(messages.values())
    if agent == "aider":
        path = home / "aider.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in AIDER))
    elif agent == "qwen-code":
        path = homes.qwen_session(home, *(homes.qwen_record(number) for number in (1, 2, 3)))
    else:
        path = homes.install(home, agent)[0]
    raw = path.read_text()
    return path, [json.loads(raw)] if path.suffix == ".json" else [json.loads(line) for line in raw.splitlines()]


def _places(value: Any, at: Path_ = (), shape: Path_ = ()) -> Iterator[tuple[Path_, Path_]]:
    """Every place in the records, with its shape: of a list's items, those are alike that have the same kind."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*at, key), (*shape, key)
            yield from _places(inner, (*at, key), (*shape, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            kind = str(inner.get("type") or inner.get("role")) if isinstance(inner, dict) else ""
            yield from _places(inner, (*at, number), (*shape, kind))


def _changed(records: Records, places: list[Path_], change: Callable[[dict[str, Any], str], None]) -> Records:
    found = copy.deepcopy(records)
    for at in places:
        inner: Any = found
        for step in at[:-1]:
            inner = inner[step]
        change(inner, str(at[-1]))
    return found


def _renamed(owner: dict[str, Any], key: str) -> None:
    owner["new_" + key] = owner.pop(key)


def _with(make: Callable[[Any], Any]) -> Callable[[dict[str, Any], str], None]:
    def change(owner: dict[str, Any], key: str) -> None:
        value = make(owner[key])
        if value is GONE:
            del owner[key]
        else:
            owner[key] = value

    return change


def _read(agent: str, path: Path, records: Records) -> Reading:
    if agent == "opencode":
        with sqlite3.connect(path) as connection:
            changed = [(json.dumps(data), f"msg_{number}") for number, data in enumerate(records, 1)]
            connection.executemany("UPDATE message SET data = ? WHERE id = ?", changed)
        connection.close()
        return read_file(reader(agent), str(path), lambda *_: None)
    separator = "" if path.suffix == ".json" else "\n"
    path.write_text("".join(json.dumps(record) + separator for record in records))
    found = read_file(reader(agent), str(path), lambda *_: None)
    if agent == "aider":  # Its calls have no ids: the key is the place in the file, which a change moves.
        numbered = [call._replace(keys=(str(number),)) for number, call in enumerate(found.calls)]
        return found._replace(calls=numbered)
    return found


def _by_key(reading: Reading) -> dict[str, AgentCall]:
    return {key: call for call in reading.calls for key in call.keys}


@pytest.mark.parametrize("change", ["renamed", *VALUES])
@pytest.mark.parametrize("agent", AGENTS)
def test_changed_field_is_no_guess(agent: str, change: str, home: Path) -> None:
    """Whichever field of a recording is changed: each call is exact, or something was counted as unrecognised."""
    path, records = _session(home, agent)
    before = _by_key(_read(agent, path, records))
    make = _renamed if change == "renamed" else _with(VALUES[change])
    shapes: dict[Path_, list[Path_]] = {}
    for at, shape in _places(records):
        shapes.setdefault(shape, []).append(at)
    absent = change in ("dropped", "null")
    for shape, places in shapes.items():
        unfinished = (agent, shape[-1]) in UNFINISHED and (absent or (agent, change) == ("auggie", "renamed"))
        if unfinished or (absent and shape[-1] in OPTIONAL):
            continue
        after = _read(agent, path, _changed(records, places, make))
        calls = _by_key(after)
        wrong = {key for key, call in before.items() if key in calls and calls[key].tokens != call.tokens}
        missing = {key for key, call in before.items() if not set(call.keys) & calls.keys()}
        assert not (wrong or missing) or after.unrecognised, f"{shape}: {wrong or missing}"


def _interleaved(lines: list[bytes]) -> list[bytes]:
    return [line for pair in zip(lines, reversed(lines), strict=True) for line in pair]


# What becomes of a file of lines without any change to a call.
FILES: dict[str, Callable[[list[bytes]], bytes]] = {
    "doubled": lambda lines: b"".join(line * 2 for line in lines),
    "written again": lambda lines: b"".join(lines * 2),
    "interleaved": lambda lines: b"".join(_interleaved(lines)),
    "backwards": lambda lines: b"".join(reversed(lines)),
    "carriage returns": lambda lines: b"".join(line.replace(b"\n", b"\r\n") for line in lines),
    "a byte order mark": lambda lines: b"\xef\xbb\xbf" + b"".join(lines),
    "empty lines": lambda lines: b"\n\n".join(lines),
    "rubbish between": lambda lines: b"\xff\xfe\0\n[]\nnull\n".join(lines),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("agent", [agent for agent in AGENTS if reader(agent).FORMAT == "lines" and agent != "aider"])
def test_changed_file_has_the_same_calls(agent: str, kind: str, home: Path) -> None:
    """Lines that come again, in another order or with another end: each call once, as it was.

    Not Aider's, whose calls have no ids: a line that is there twice is two calls.
    """
    path, records = _session(home, agent)
    before = {call.keys: call.tokens for call in _read(agent, path, records).calls}
    path.write_bytes(FILES[kind](path.read_bytes().splitlines(keepends=True)))
    after = read_file(reader(agent), str(path), lambda *_: None)
    assert sorted((call.keys, call.tokens) for call in after.calls) == sorted(before.items())
