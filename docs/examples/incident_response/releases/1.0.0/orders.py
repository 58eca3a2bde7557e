"""Release 1.0.0: reads the stock, and fails where it is damaged."""

import json
from pathlib import Path


def take_order(data: Path) -> str:
    """Sell one book."""
    stock = json.loads((data / "stock.json").read_text(encoding="utf-8"))
    return f"sold one of {stock['book']} books"
