"""The `opentelemetry_instrumentor` entry point: `opentelemetry-instrument` switches us on like any other."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .instrument import instrument, uninstrument


class HypertoolInstrumentor:
    """What OpenTelemetry's loader calls; its own arguments (providers) are found by us in another way."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: an SDK that is not installed is left out."""
        return ()

    def instrument(self, **kwargs: Any) -> None:
        """Observe every call of the installed SDKs."""
        instrument()

    def uninstrument(self, **kwargs: Any) -> None:
        """Undo it."""
        uninstrument()
