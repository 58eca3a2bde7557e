"""The `opentelemetry_instrumentor` entry point, through which `opentelemetry-instrument` switches Hypertool on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .instrument import instrument, uninstrument


class HypertoolInstrumentor:
    """The class that OpenTelemetry's loader calls; Hypertool finds the providers itself and ignores the arguments."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """No dependencies: an SDK that is not installed is skipped."""
        return ()

    def instrument(self, **kwargs: Any) -> None:
        """Observe every call of the installed SDKs."""
        instrument()

    def uninstrument(self, **kwargs: Any) -> None:
        """Restore the SDKs' own methods."""
        uninstrument()
