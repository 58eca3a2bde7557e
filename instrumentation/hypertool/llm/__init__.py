"""LLM calls: their token usage, their cost, and how they are observed.

    reading = extract(response)             # or StreamReader().feed(chunk) ... .finish(complete)
    nano = cost_of(reading.model, reading.usage, reading.service_tier)

This package imports no provider SDK, and `import hypertool` does not import this package. Names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..runtime.lazy_names import loader

_HOME = {
    "Missing": "reading.usage",
    "Reading": "reading.usage",
    "StreamReader": "reading.streams",
    "Usage": "reading.usage",
    "cost_of": "pricing.cost",
    "estimate_usage": "reading.estimate",
    "extract": "reading.extract",
    "read_usage": "reading.records",
    "unit_prices": "pricing.cost",
}

__all__ = [
    "Missing",
    "Reading",
    "StreamReader",
    "Usage",
    "cost_of",
    "estimate_usage",
    "extract",
    "read_usage",
    "unit_prices",
]

if TYPE_CHECKING:
    from .pricing.cost import cost_of as cost_of
    from .pricing.cost import unit_prices as unit_prices
    from .reading.estimate import estimate_usage as estimate_usage
    from .reading.extract import extract as extract
    from .reading.records import read_usage as read_usage
    from .reading.streams import StreamReader as StreamReader
    from .reading.usage import Missing as Missing
    from .reading.usage import Reading as Reading
    from .reading.usage import Usage as Usage


__getattr__ = loader(__name__, _HOME)
