"""Stages one after the other, and stages side by side with a join; each one is measured as a stage of its run."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from typing import Any, NamedTuple

from ..errors import QualityGateFailed
from ..workflow.executor import WorkflowExecutor
from ..workflow.stage import Stage
from ..workflow.tracer import WorkflowTracer
from .steps import settled


class Task(NamedTuple):
    """One stage: its persona, and the function that does its work with the result of what was before it."""

    stage: str
    persona: str
    work: Callable[[Any], Any]
    chatmode: str | None = None


def sequential(workflow: WorkflowTracer, tasks: Sequence[Task], given: Any = None) -> Any:
    """Run the stages in order, each with the result of the one before it, the first with `given`; the last result.

    Stops at the first stage that raises, or that fails its gate: QualityGateFailed names it and what did not run.
    """
    for position, task in enumerate(tasks):
        with _stage(workflow, task) as stage:
            given = settled(task.work(given), "use sequential_async")
            stage.judge(given)
        _stop_where_failed(stage, tasks, position)
    return given


async def sequential_async(workflow: WorkflowTracer, tasks: Sequence[Task], given: Any = None) -> Any:
    """`sequential` for functions that are async; others may be among them."""
    for position, task in enumerate(tasks):
        stage, given = await _run_async(workflow, task, given)
        _stop_where_failed(stage, tasks, position)
    return given


def parallel(
    workflow: WorkflowTracer, tasks: Sequence[Task], given: Any = None, threads: int | None = None
) -> list[Any]:
    """Run the stages at the same time, in threads, each with `given`; their results in the order of `tasks`.

    It waits for every stage that has begun. After the first exception no further stage begins, and that exception is
    raised; a failed gate raises QualityGateFailed at the end. `threads` bounds how many run at once (default: all).
    """
    if not tasks:
        return []
    stopped = threading.Event()

    def run(task: Task) -> tuple[Stage, Any] | None:
        if stopped.is_set():
            return None
        try:
            return _run(workflow, task, given)
        except BaseException:
            stopped.set()  # here, because this thread takes the next stage before the caller has woken up
            raise

    with WorkflowExecutor(max_workers=threads or len(tasks)) as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # Also where the caller is interrupted: the pool would begin what waits for a thread.
            stopped.set()
    for future in futures:
        if (error := future.exception()) is not None:
            raise error
    return _joined(tasks, [ended for future in futures if (ended := future.result()) is not None])


async def parallel_async(workflow: WorkflowTracer, tasks: Sequence[Task], given: Any = None) -> list[Any]:
    """`parallel` in tasks of the event loop.

    After the first exception, and where the caller is cancelled, the others are cancelled, and have ended before it is
    raised: their gates fail.
    """
    running = [asyncio.ensure_future(_run_async(workflow, task, given)) for task in tasks]
    try:
        return _joined(tasks, await asyncio.gather(*running))
    except BaseException:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        raise


def _stage(workflow: WorkflowTracer, task: Task) -> Stage:
    return workflow.stage_context(task.stage, task.persona, {"chatmode": task.chatmode} if task.chatmode else None)


def _run(workflow: WorkflowTracer, task: Task, given: Any) -> tuple[Stage, Any]:
    with _stage(workflow, task) as stage:
        result = settled(task.work(given), "use parallel_async")
        stage.judge(result)
    return stage, result


async def _run_async(workflow: WorkflowTracer, task: Task, given: Any) -> tuple[Stage, Any]:
    with _stage(workflow, task) as stage:
        result = task.work(given)
        if inspect.isawaitable(result):
            result = await result
        stage.judge(result)
    return stage, result


def _stop_where_failed(stage: Stage, tasks: Sequence[Task], position: int) -> None:
    if stage.quality_gate_passed is False:
        left = ", ".join(task.stage for task in tasks[position + 1 :])
        raise QualityGateFailed(
            f"the gate of stage {tasks[position].stage!r} failed" + (f"; not run: {left}" if left else "")
        )


def _joined(tasks: Sequence[Task], ended: Sequence[tuple[Stage, Any]]) -> list[Any]:
    failed = [task.stage for task, (stage, _) in zip(tasks, ended, strict=True) if stage.quality_gate_passed is False]
    if failed:
        raise QualityGateFailed(f"the gates of these parallel stages failed: {', '.join(failed)}")
    return [result for _, result in ended]
