"""`hypertool.instrument()` and `uninstrument()`: patch the installed provider SDKs, and restore them.

A loaded module is patched at once, any other when the program imports it; patching itself imports nothing.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...runtime.logs import once
from ..calls.call import Caller
from ..calls.observed import PATCH
from ..calls.wrapper import make_caller
from .patched import patched
from .targets import TARGETS, Target

if TYPE_CHECKING:
    from ...metrics.collector import PersonaMetricsCollector
    from ..calls.signatures import Langfuse

_lock = threading.RLock()
_undo: list[tuple[Any, str, Any, Any]] = []  # owner, name, original, replacement
_finder: _PostImport | None = None


def packages() -> tuple[str, ...]:
    """The names that `instrument(only=...)` accepts, for example `google-genai` and `bedrock`."""
    return tuple(dict.fromkeys(_name(target) for target in TARGETS))


def instrument(
    only: Iterable[str] | None = None,
    *,
    persona: str | None = None,
    chatmode: str | None = None,
    langfuse: Langfuse | bool | None = None,
    metrics: PersonaMetricsCollector | bool | None = None,
) -> None:
    """Observe every LLM call of the provider SDKs in this process, as if each method were wrapped by `ObservableLLM`.

    This covers sync and async calls, streams and raw responses; each call names its own model. `only` names the SDKs
    (see `packages()`); the other arguments are those of `ObservableLLM`. A call inside an `ObservableLLM` counts once.
    Calling `instrument()` again changes nothing; `uninstrument()` undoes it. Functions that a program has already
    imported by name (`from litellm import completion`) are not observed.

    Raises ValueError for an unknown name.
    """
    wanted = None if only is None else frozenset(only)
    if wanted is not None and wanted - set(packages()):
        raise ValueError(
            f"no SDK called {', '.join(sorted(wanted - set(packages())))} is known; expected {', '.join(packages())}"
        )
    global _finder
    with _lock:
        if _finder is not None:
            return
        callers: dict[str, Caller] = {}
        by_module: dict[str, list[tuple[Target, Caller]]] = {}
        for target in TARGETS:
            name = _name(target)
            if (wanted is None or name in wanted) and _installed(target.package):
                if name not in callers:
                    callers[name] = make_caller(None, persona, chatmode, langfuse, metrics, None)
                by_module.setdefault(target.module, []).append((target, callers[name]))
        for module in list(by_module):
            loaded = sys.modules.get(module)
            if loaded is not None:
                _patch(loaded, by_module[module])
        _finder = _PostImport(by_module)
        sys.meta_path.insert(0, _finder)


def uninstrument() -> None:
    """Undo `instrument()`: restore the SDKs' own methods. Calls in flight are still counted to their end."""
    global _finder
    with _lock:
        if _finder is None:
            return
        if _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        _finder = None
        while _undo:
            owner, name, original, replacement = _undo.pop()
            patch = getattr(replacement, PATCH, None)
            if patch is not None:
                patch.retired = True
            if vars(owner).get(name) is replacement:  # otherwise another tool has wrapped it, and keeps it
                setattr(owner, name, original)


def _name(target: Target) -> str:
    return {"google.genai": "google-genai", "botocore": "bedrock"}.get(target.package, target.package)


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # the parent package is missing
        return False


def _patch(module: ModuleType, targets: Sequence[tuple[Target, Caller]]) -> None:
    for target, caller in targets:
        owner = module if target.owner is None else getattr(module, target.owner, None)
        if owner is None:
            continue
        for name in target.methods:
            original = vars(owner).get(name)
            if original is None or not callable(original):
                continue
            bound = getattr(original, "__self__", None)
            if bound is not None:  # ollama.chat is a bound method of the module's own client
                again = getattr(bound, name)
                if again.__func__ is not original.__func__:
                    _undo.append((owner, name, original, again))
                    setattr(owner, name, again)
                continue
            if getattr(original, PATCH, None) is not None and not getattr(original, PATCH).retired:
                continue
            try:
                patch = patched(original, caller, target.outermost, target.package == "botocore")
            except Exception as error:  # an SDK with an unexpected structure must keep working
                once.warn(
                    f"instrument:{target.module}.{name}",
                    f"{target.module}.{name} is not observed: {type(error).__name__}: {error}",
                )
                continue
            _undo.append((owner, name, original, patch.replacement))
            setattr(owner, name, patch.replacement)


class _PostImport:
    """An import finder that finds no module itself; it patches the modules of the table right after they execute."""

    def __init__(self, by_module: dict[str, list[tuple[Target, Caller]]]) -> None:
        self._by_module = by_module
        self._finding = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The other finders' spec, with patching added after the module executes."""
        if name not in self._by_module or getattr(self._finding, "name", None) == name:
            return None
        self._finding.name = name
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._finding.name = None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            with _lock:
                if _finder is self:
                    _patch(module, self._by_module[name])

        try:
            spec.loader.exec_module = execute_and_patch  # type: ignore[method-assign]  # on this loader only
        except AttributeError:  # a loader written in C: the module stays unpatched
            return None
        return spec
