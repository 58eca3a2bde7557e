"""The last line of a written file: it says where the file is from, and shows whether a person has edited it since."""

from __future__ import annotations

import hashlib
import re

_MARK = re.compile(r"<!-- hypertool workflow export ([0-9a-f]{16}) -->\n?\Z")


def marked(text: str) -> bytes:
    """The file's content: the text and its mark."""
    text = text.rstrip("\n") + "\n\n"
    return f"{text}<!-- hypertool workflow export {_sum(text)} -->\n".encode()


def is_ours(content: bytes) -> bool:
    """Whether the file is as we wrote it; line ends may have changed on the way through git."""
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return False
    found = _MARK.search(text)
    return found is not None and found[1] == _sum(text[: found.start()])


def has_mark(content: bytes) -> bool:
    """Whether we wrote the file once, whatever a person has changed since."""
    return b"<!-- hypertool workflow export " in content[-200:]


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
