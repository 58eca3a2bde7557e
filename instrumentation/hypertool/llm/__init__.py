"""What an LLM call used and what it cost, read from the responses of the providers' own SDKs.

    reading = extract(response)             # or StreamReader().feed(chunk) ... .finish(complete)
    nano = cost_of(reading.model, reading.usage, reading.service_tier)

No SDK is imported here, and `import hypertool` does not import this package.

* `usage` the partition, `usage_estimate` the opt-in estimate (always marked)
* `shapes` a response to a `Reading`, and which class has which shape; `shapes_responses` the shapes; `shapes_records`
  the usage record of each provider; `shapes_streams` chunk by chunk; `shapes_view` any object as a mapping;
  `shapes_providers` names
* `wrapper` ObservableLLM and observe_llm; `call` the life of one call; `record` what it was, and its metrics;
  `reservations` budgets that block; `streams` and `sdk_streams` what is returned instead of a value
* `attributes` spans; `call_metadata` metadata, and links to Langfuse's prompts; `content` and `transcript` prompts and
  completions where they are asked for, `fingerprint` what stands for a prompt otherwise
* `cost` money; `cost_table` reads `prices.toml`, or the file that HYPERTOOL_PRICES names
"""

from __future__ import annotations

from .cost import cost_of, unit_prices
from .shapes import extract
from .shapes_records import read_usage
from .shapes_streams import StreamReader
from .usage import Missing, Reading, Usage
from .usage_estimate import estimate_usage

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
