"""Hypertool: metrics, traces and budgets of multi-persona LLM agent workflows.

Names are loaded when they are first used, so that importing the package stays cheap.
"""

from __future__ import annotations

import sys

from .runtime.lazy_names import loader
from .runtime.light_typing import TYPE_CHECKING
from .runtime.version import __version__ as __version__

try:
    import fcntl as _fcntl  # noqa: F401
except ImportError:
    raise ImportError(
        f"hypertool runs on POSIX systems only: its store locks files with fcntl, which {sys.platform!r} lacks. "
        "On Windows, run it in WSL or in a container."
    ) from None

_HOME = {
    "PersonaMetricsCollector": "metrics.collector",
    "get_persona_metrics": "metrics.collector",
    "context": "metrics.context",
    "totals": "metrics.totals",
    "record_llm_call": "llm.record_call",
    "serve_metrics": "service.serve_metrics",
    "set_redaction": "runtime.redaction_hook",
    "WorkflowTracer": "workflow.tracer",
    "trace_workflow": "workflow.tracer",
    "WorkflowExecutor": "workflow.executor",
    "ObservableLLM": "llm.calls.wrapper",
    "observe_llm": "llm.calls.wrapper",
    "instrument": "llm.instrumenting.instrument",
    "uninstrument": "llm.instrumenting.instrument",
    "LangfuseIntegration": "llm.langfuse_integration",
    "get_langfuse_integration": "llm.langfuse_integration",
    "TraceContext": "llm.langfuse_integration",
    "SpanContext": "llm.langfuse_integration",
    "GenerationContext": "llm.langfuse_integration",
    "HypertoolError": "errors",
    "ConfigError": "errors",
    "QualityGateFailed": "errors",
    "StoreUnavailable": "errors",
    "TokenBudgetExceeded": "errors",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from .errors import ConfigError as ConfigError
    from .errors import HypertoolError as HypertoolError
    from .errors import QualityGateFailed as QualityGateFailed
    from .errors import StoreUnavailable as StoreUnavailable
    from .errors import TokenBudgetExceeded as TokenBudgetExceeded
    from .llm.calls.wrapper import ObservableLLM as ObservableLLM
    from .llm.calls.wrapper import observe_llm as observe_llm
    from .llm.instrumenting.instrument import instrument as instrument
    from .llm.instrumenting.instrument import uninstrument as uninstrument
    from .llm.langfuse_integration import GenerationContext as GenerationContext
    from .llm.langfuse_integration import LangfuseIntegration as LangfuseIntegration
    from .llm.langfuse_integration import SpanContext as SpanContext
    from .llm.langfuse_integration import TraceContext as TraceContext
    from .llm.langfuse_integration import get_langfuse_integration as get_langfuse_integration
    from .llm.record_call import record_llm_call as record_llm_call
    from .metrics.collector import PersonaMetricsCollector as PersonaMetricsCollector
    from .metrics.collector import get_persona_metrics as get_persona_metrics
    from .metrics.context import context as context
    from .metrics.totals import totals as totals
    from .runtime.redaction_hook import set_redaction as set_redaction
    from .service.serve_metrics import serve_metrics as serve_metrics
    from .workflow.executor import WorkflowExecutor as WorkflowExecutor
    from .workflow.tracer import WorkflowTracer as WorkflowTracer
    from .workflow.tracer import trace_workflow as trace_workflow


__getattr__ = loader(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
