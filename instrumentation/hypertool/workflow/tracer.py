"""WorkflowTracer: a workflow run with its stages, as metrics and as spans, for sync and async code."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..metrics.collector import get_persona_metrics
from ..recording.ambient import reset_run, set_run
from ..runtime.either_with import EitherWith
from ..runtime.settings import disabled
from ..runtime.workspace import workspace_name
from ..spans import span as spans
from .stage import Stage
from .stage_generators import StageEnd

if TYPE_CHECKING:
    from contextvars import Token

    from ..metrics.collector import PersonaMetricsCollector
    from ..recording.runs import Run

_NOTHING: dict[str, Any] = {}


class WorkflowTracer(EitherWith):
    """One run of a workflow, with `with` or `async with`; can be entered again after it has ended.

    `metadata` goes to the span as `workflow.<key>`; its `chatmode` is the default of every stage. Every run has its own
    budgets, a nested run too. Raises TypeError or ValueError for a wrong name or metadata.
    """

    def __init__(self, workflow_name: str, metadata: Mapping[str, Any] | None = None) -> None:
        if not isinstance(workflow_name, str):
            raise TypeError(f"workflow_name must be a string, not {type(workflow_name).__name__}")
        if not workflow_name:
            raise ValueError("workflow_name is empty; a workflow needs a name")
        self.workflow_name = workflow_name
        self.metadata = dict(_checked(metadata))
        self.run: Run | None = None
        self.duration_seconds = 0.0
        # The trace of the current or last run; None if untraced.
        self.trace_id: str | None = None
        # What `spans.remote_parent` gives, for a run that continues the trace of another process.
        self.parent: Any = None
        self._collector: PersonaMetricsCollector | None = None
        self._entered = self._async = False
        self._token: Token[Run | None] | None = None
        self._span: spans.OurSpan | None = None
        self._started = 0.0

    @property
    def run_id(self) -> str | None:
        """The id of the current or last run, as on its span; None before the first run."""
        return self.run.id if self.run is not None else None

    def trace_headers(self) -> dict[str, str]:
        """The W3C headers of the run's span, for other processes; empty where the run is not traced."""
        return self._span.traceparent() if self._span is not None else {}

    def __enter__(self) -> WorkflowTracer:
        if self._entered:
            raise ValueError(f"the run of {self.workflow_name!r} is in progress; use a WorkflowTracer for each run")
        self._entered, self._async = True, False
        self._started = time.perf_counter()
        if disabled():
            return self
        collector = self._collector = get_persona_metrics()
        run = self.run = collector.open_run(self.workflow_name, self.metadata.get("chatmode"))
        self._token = set_run(run)
        self._span = spans.start(
            f"workflow.{self.workflow_name}",
            lambda: {
                **{f"workflow.{key}": value for key, value in self.metadata.items()},
                "workflow.name": self.workflow_name,
                "hypertool.workspace": workspace_name(),
                "hypertool.run_id": run.id,
            },
            self.parent,
        )
        self.trace_id = self._span.ids()[0] if self._span is not None and self._span.sampled else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.duration_seconds = time.perf_counter() - self._started
        self._entered = False
        collector, run, token, span = self._collector, self.run, self._token, self._span
        self._collector = self._token = self._span = None
        if collector is None or run is None:
            return
        if span is not None:
            span.end({"workflow.duration_seconds": self.duration_seconds}, error)
        collector.close_run(run)
        if token is not None:
            try:
                reset_run(token)
            except ValueError:  # Entered in another context (a generator fixture), which ended with its task.
                set_run(None)

    async def __aenter__(self) -> WorkflowTracer:
        self.__enter__()
        self._async = True
        return self

    def stage_context(self, stage_name: str, persona: str, metadata: Mapping[str, Any] | None = None) -> Stage:
        """A stage as a context manager, sync or async; `metadata` goes to its span as `stage.<key>`.

        Raises ValueError for an unknown persona, or outside the workflow's block.
        """
        known = _checked(metadata)
        if not self._entered:
            raise ValueError(
                f"stage {stage_name!r} is outside its run; enter the run first: "
                f"`with WorkflowTracer({self.workflow_name!r}) as workflow:`"
            )
        collector = self._collector
        if collector is None:
            return Stage(stage_name, None, dict)
        chatmode = known.get("chatmode", self.metadata.get("chatmode"))
        tracker = collector.track_stage(self.workflow_name, stage_name, persona, chatmode=chatmode)
        return Stage(
            stage_name,
            tracker,
            lambda: {
                **{f"stage.{key}": value for key, value in known.items()},
                "stage.name": stage_name,
                "stage.persona": collector.catalogue.resolve(persona).name,
                "stage.chatmode": tracker.chatmode,
                "workflow.name": self.workflow_name,
            },
        )

    def trace_stage(
        self, stage_name: str, persona: str, func: Callable[..., Any] | Awaitable[Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run `func(*args, **kwargs)` as a stage.

        Under `with` it returns the value; an awaitable is a TypeError. Under `async with` it always returns an
        awaitable, for functions (a sync function runs inline when awaited) and for awaitable objects. The stage of a
        generator lasts until the generator is exhausted or closed. An exception fails the gate, and so does a result
        whose key or attribute `quality_gate_passed` is False.
        """
        if not callable(func) and not inspect.isawaitable(func):
            raise TypeError(f"func must be callable or awaitable, not {type(func).__name__} ({func!r:.60})")
        if not self._async:
            self._refuse_awaitables(func)
        stage = self.stage_context(stage_name, persona)
        if self._async:
            return self._run_async(stage, func, args, kwargs)
        stage.__enter__()
        with StageEnd(stage) as end:
            result = func(*args, **kwargs)  # type: ignore[operator]
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise _awaitable_error(self.workflow_name)
            return end.result(result)

    async def _run_async(self, stage: Stage, func: Any, args: Any, kwargs: Any) -> Any:
        stage.__enter__()
        with StageEnd(stage) as end:
            result = func(*args, **kwargs) if callable(func) else func
            if inspect.isawaitable(result):
                result = await result
            return end.result(result)

    def _refuse_awaitables(self, func: Any) -> None:
        if inspect.iscoroutine(func):
            func.close()
        elif callable(func) and not inspect.isawaitable(func):
            plain = func.func if isinstance(func, functools.partial) else func
            if not inspect.iscoroutinefunction(plain) and not (
                not inspect.isroutine(plain)
                and not inspect.isclass(plain)
                and inspect.iscoroutinefunction(type(plain).__call__)
            ):
                return
        raise _awaitable_error(self.workflow_name)


def trace_workflow(name: str, metadata: Mapping[str, Any] | None = None) -> WorkflowTracer:
    """`with trace_workflow("bug_fix") as workflow:`; the same as `WorkflowTracer(name, metadata)`."""
    return WorkflowTracer(name, metadata)


def _awaitable_error(workflow: str) -> TypeError:
    return TypeError(
        f"trace_stage got an awaitable under `with`; use `async with WorkflowTracer({workflow!r})` "
        "and `await workflow.trace_stage(...)`, or pass a function that is not async"
    )


def _checked(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    if metadata is None:
        return _NOTHING
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, not {type(metadata).__name__} ({metadata!r:.60})")
    for key in metadata:
        if not isinstance(key, str) or not key:
            raise TypeError(f"the keys of metadata must be non-empty strings, not {key!r:.60}")
    chatmode = metadata.get("chatmode")
    if chatmode is not None and not isinstance(chatmode, str):
        raise TypeError(f"the chatmode in metadata must be a string, not {chatmode!r:.60}")
    return dict(metadata)
