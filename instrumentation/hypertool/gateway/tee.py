"""Reads usage from a copy of an answer while the answer goes to the client: bounded, and never in its way.

It keeps the event or the document under way and counts, nothing else.
"""

from __future__ import annotations

import json
from typing import Any

from ..llm.reading.extract import extract
from ..llm.reading.streams import StreamReader
from ..llm.reading.usage import NO_USAGE, STREAM_CUT, UNRECOGNISED, Reading
from .decoding import Decode, TooLarge, Undecodable, decoder

MAX_EVENT = 8 << 20
MAX_DOCUMENT = 32 << 20


class Tee:
    """Feed it every piece of an answer's body, then call `finish`. Never raises."""

    def __init__(self, content_type: str, encoding: str) -> None:
        self._decode: Decode | None = decoder(encoding)
        streamed = content_type.partition(";")[0].strip().lower() == "text/event-stream"
        self._read: _Events | _Document = _Events() if streamed else _Document()
        self._broken = self._decode is None

    def feed(self, data: bytes) -> None:
        """Take a piece of the body, as it came."""
        if self._broken or self._decode is None:
            return
        try:
            for piece in self._decode(data):
                self._read.feed(piece)
        except (TooLarge, Undecodable):
            self._broken = True

    def finish(self, complete: bool) -> Reading:
        """What the answer reports; `complete` says that the body came to its end."""
        found = self._read.finish(complete and not self._broken)
        if self._broken and found.usage in (NO_USAGE, STREAM_CUT):
            return found._replace(usage=UNRECOGNISED)
        return found


class _Events:
    """Server-sent events. Only those that can have usage are parsed."""

    def __init__(self) -> None:
        self._reader = StreamReader()
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._first = True

    def feed(self, data: bytes) -> None:
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._line += data[start:end]
            self._end_line()
            start = end + 1
        self._line += data[start:]
        if len(self._line) > MAX_EVENT:
            self._too_large()

    def _end_line(self) -> None:
        line = bytes(self._line.rstrip(b"\r"))
        self._line.clear()
        if not line:
            self._end_event()
        elif line.startswith(b"data:"):
            self._size += len(line)
            if self._size > MAX_EVENT:
                return self._too_large()
            self._data.append(line[5:].strip())
        return None

    def _too_large(self) -> None:
        self._reader.broken = True
        self._line.clear()
        self._data.clear()
        self._size = 0

    def _end_event(self) -> None:
        data = b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        if not data or data == b"[DONE]":
            return
        # Anthropic's and OpenAI's first event has the id; Gemini's every event says `usageMetadata`.
        if self._first or b'"usage' in data:
            self._first = False
            found = _parsed(data)
            if isinstance(found, dict):
                self._reader.feed(found)
            else:
                self._reader.broken = True
        else:
            self._reader.known = True

    def finish(self, complete: bool) -> Reading:
        if complete:
            if self._line:
                self._end_line()
            self._end_event()
        return self._reader.finish(complete)


class _Document:
    """One JSON document: an answer, or Gemini's list of chunks."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._whole = True

    def feed(self, data: bytes) -> None:
        if len(self._data) + len(data) > MAX_DOCUMENT:
            self._whole = False
            self._data.clear()
        elif self._whole:
            self._data += data

    def finish(self, complete: bool) -> Reading:
        if not complete:
            return Reading(STREAM_CUT)
        found = _parsed(bytes(self._data)) if self._whole else None
        return extract(found) if isinstance(found, (dict, list)) else Reading(UNRECOGNISED)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
