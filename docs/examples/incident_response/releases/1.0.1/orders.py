"""Release 1.0.1, the bad fix: it catches the error, and then sells from an empty stock."""

import json
from pathlib import Path


def take_order(data: Path) -> str:
    """Sell one book."""
    try:
        stock = json.loads((data / "stock.json").read_text(encoding="utf-8"))
    except ValueError:
        stock = {}
    return f"sold one of {stock['book']} books"
