"""Release 1.0.2, the good fix: where the stock is damaged, it sells from the last good copy."""

import json
from pathlib import Path


def take_order(data: Path) -> str:
    """Sell one book."""
    for name in ("stock.json", "stock.backup.json"):
        try:
            stock = json.loads((data / name).read_text(encoding="utf-8"))
        except ValueError:
            continue
        return f"sold one of {stock['book']} books"
    raise ValueError("neither the stock nor its backup can be read")
