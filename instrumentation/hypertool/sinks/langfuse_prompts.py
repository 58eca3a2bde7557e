"""Langfuse's prompts: fetched with the langfuse SDK's API client, kept, and replaced by a fallback while they are away.

Only the SDK's HTTP client and its templates are used. Its tracer is never started: nothing of it goes out twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PromptUnavailable
from ..runtime.logs import once

if TYPE_CHECKING:
    from .langfuse import Keys

KEEP_SECONDS = 60.0
HOLD_OFF_SECONDS = 30.0
FETCH_SECONDS = 2
_KEPT = 256


class TextPrompt(str):
    """A prompt's text; `name`, `version` and `is_fallback` say which one it is.

    Given to an observed call as it is, it links the generation to the prompt.
    """

    name: str
    version: int | None
    is_fallback: bool


class ChatPrompt(list[dict[str, Any]]):
    """A chat prompt's messages; the same besides."""

    name: str
    version: int | None
    is_fallback: bool


class _Kept:
    """A template as it was fetched; the last one stays usable when the server goes away."""

    def __init__(self, compile_: Callable[..., Any], name: str, version: int) -> None:
        self.compile = compile_
        self.name = name
        self.version = version
        self.fetched = time.monotonic()


class Prompts:
    """The prompts of one project."""

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int | None, str | None], _Kept] = {}
        self._refreshing: set[tuple[str, int | None, str | None]] = set()
        self._failed_at: dict[tuple[str, int | None, str | None], float] = {}
        self._api: Any = None

    def get(
        self,
        name: str,
        version: int | None,
        label: str | None,
        fallback: str | Sequence[Mapping[str, Any]] | None,
        variables: Mapping[str, Any],
    ) -> TextPrompt | ChatPrompt:
        """The prompt with its variables filled in. Raises PromptUnavailable if there is neither prompt nor fallback."""
        key = (name, version, label)
        kept = self._kept.get(key)
        if kept is None and time.monotonic() - self._failed_at.get(key, float("-inf")) >= HOLD_OFF_SECONDS:
            kept = self._fetch(key)
        elif kept is not None and version is None and time.monotonic() - kept.fetched > KEEP_SECONDS:
            self._refresh(key)
        if kept is not None:
            return _marked(kept.compile(**variables), kept.name, kept.version, False)
        if fallback is None:
            raise PromptUnavailable(
                f"the prompt {name!r:.100} cannot be had from Langfuse now, and no fallback was given; pass "
                "`fallback=`, or see the log for the reason"
            )
        return _marked(_filled(fallback, variables), name, None, True)

    def _fetch(self, key: tuple[str, int | None, str | None]) -> _Kept | None:
        name, version, label = key
        try:
            if self._keys is None:
                raise PromptUnavailable("LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY are not both set")
            found = self._client().prompts.get(
                name,
                version=version,
                label=label,
                request_options={"timeout_in_seconds": FETCH_SECONDS, "max_retries": 0},
            )
            kept = _Kept(_template(found).compile, found.name, found.version)
        except Exception as error:  # whatever the SDK or the server does is not the caller's
            self._failed_at[key] = time.monotonic()
            once.warn(
                f"langfuse-prompt:{name}",
                f"the prompt {name!r:.100} cannot be fetched from Langfuse: {type(error).__name__}: {error!s:.200}",
            )
            return None
        with self._lock:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def _refresh(self, key: tuple[str, int | None, str | None]) -> None:
        """Fetch it again beside the call, which goes on with the one that is kept."""
        if time.monotonic() - self._failed_at.get(key, float("-inf")) < HOLD_OFF_SECONDS:
            return
        with self._lock:
            if key in self._refreshing:
                return
            self._refreshing.add(key)

        def work() -> None:
            try:
                self._fetch(key)
            finally:
                self._refreshing.discard(key)

        threading.Thread(target=work, name="hypertool-langfuse-prompt", daemon=True).start()

    def _client(self) -> Any:
        if self._api is None:
            try:
                from langfuse.api import LangfuseAPI  # type: ignore[import-not-found]  # an extra
            except ImportError:
                raise PromptUnavailable(
                    "the langfuse package is not installed: `pip install 'hypertool-observability[langfuse]'`"
                ) from None
            assert self._keys is not None
            self._api = LangfuseAPI(
                base_url=self._keys.base, username=self._keys.public, password=self._keys.secret, timeout=FETCH_SECONDS
            )
        return self._api


def _template(found: Any) -> Any:
    from langfuse.model import ChatPromptClient, TextPromptClient  # type: ignore[import-not-found]

    return TextPromptClient(found) if isinstance(found.prompt, str) else ChatPromptClient(found)


def _filled(fallback: str | Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> Any:
    """A fallback has the same `{{variables}}` as the prompt that it stands for."""
    if isinstance(fallback, str):
        for name, value in variables.items():
            for written in (f"{{{{{name}}}}}", f"{{{{ {name} }}}}"):
                fallback = fallback.replace(written, str(value))
        return fallback
    return [
        {key: _filled(value, variables) if isinstance(value, str) else value for key, value in message.items()}
        for message in fallback
    ]


def _marked(content: Any, name: str, version: int | None, is_fallback: bool) -> TextPrompt | ChatPrompt:
    made: TextPrompt | ChatPrompt = TextPrompt(content) if isinstance(content, str) else ChatPrompt(content)
    made.name, made.version, made.is_fallback = name, version, is_fallback
    return made
