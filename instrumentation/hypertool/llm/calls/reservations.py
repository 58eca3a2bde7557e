"""Reserve tokens before a call and settle after it, so that concurrent calls share a blocking budget.

All processes share an hour or day budget: each publishes its reservations in its snapshot, and they are void as soon
as the process has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import TokenBudgetExceeded

if TYPE_CHECKING:
    from ...domain.personas import Persona
    from ...metrics.collector import PersonaMetricsCollector
    from ...recording.recorder import Recorder
    from ...recording.runs import Run

FIRST_GUESS = 1_000
_CHARACTERS_PER_TOKEN = 4
_MAX_TOKENS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "maxTokens")


class Reservation:
    """Budget tokens that one call in flight may still use; `release` returns them, once.

    `shared` is True if other processes see the reservation: its release must then be published.
    """

    __slots__ = ("_epoch", "_key", "_recorder", "shared", "tokens")

    def __init__(self, recorder: Recorder, key: tuple[str, str], tokens: int) -> None:
        recorder.reserved[key] = recorder.reserved.get(key, 0) + tokens
        self._recorder = recorder
        self._epoch = recorder.epoch
        self._key = key
        self.shared = not key[0]
        self.tokens = tokens

    @property
    def persona(self) -> str:
        """Whose budget it is of."""
        return self._key[1]

    def hold(self, tokens: int) -> None:
        """Reserve that many tokens from now on: what the call has used. The caller holds the recorder's lock."""
        if self._recorder.epoch is self._epoch:
            self._recorder.reserved[self._key] = self._recorder.reserved.get(self._key, 0) + tokens - self.tokens
            self.tokens = tokens

    def release(self, used: int | None) -> None:
        """End the reservation after `used` tokens are debited (None: unknown). The caller holds the recorder's lock."""
        recorder, tokens = self._recorder, self.tokens
        self.tokens = 0
        if recorder.epoch is not self._epoch:  # after a fork the reservation belongs to the parent
            return
        left = recorder.reserved.get(self._key, 0) - tokens
        if left > 0:
            recorder.reserved[self._key] = left
        else:
            recorder.reserved.pop(self._key, None)
        if used is not None:
            persona = self._key[1]
            recorder.largest_call[persona] = max(used, recorder.largest_call.get(persona, 0))


def reserve(
    collector: PersonaMetricsCollector, persona: Persona, run: Run | None, prompt: Any, arguments: Mapping[str, Any]
) -> Reservation:
    """Reserve what the call may use. Raises TokenBudgetExceeded if past use and calls in flight leave no tokens."""
    recorder, core = collector.recorder, collector.core
    if persona.window == "run":
        with recorder.lock:
            mine = recorder.run_of(run)
            account = mine.accounts.get(persona.name)
            limit = persona.tokens_in(mine.workflow)
            remaining = account.remaining if account is not None else limit
            return take(recorder, persona, (mine.id, persona.name), limit, remaining, prompt, arguments)
    with core.reserving():
        core.used_in_window(persona)  # reads the store here, before the recorder's lock is held
        with recorder.lock:
            left = persona.tokens - core.used_in_window(persona) - core.reserved_elsewhere(persona.name)
            return take(recorder, persona, ("", persona.name), persona.tokens, left, prompt, arguments)


def take(
    recorder: Recorder,
    persona: Persona,
    key: tuple[str, str],
    limit: int,
    remaining: int,
    prompt: Any,
    arguments: Mapping[str, Any],
) -> Reservation:
    """Reserve out of `remaining` tokens for the run `key[0]`; the caller holds the recorder's lock.

    Raises TokenBudgetExceeded if calls in flight have reserved them all.
    """
    left = remaining - recorder.reserved.get(key, 0)
    if left <= 0:
        raise TokenBudgetExceeded(persona.name, limit, left)
    return Reservation(recorder, key, min(_wanted(recorder, persona.name, prompt, arguments), left))


def _wanted(recorder: Recorder, persona: str, prompt: Any, arguments: Mapping[str, Any]) -> int:
    for name in _MAX_TOKENS:
        most = arguments.get(name)
        if isinstance(most, int) and not isinstance(most, bool) and most > 0:
            return most + _length(prompt) // _CHARACTERS_PER_TOKEN
    return recorder.largest_call.get(persona) or FIRST_GUESS


def _length(prompt: Any, depth: int = 6) -> int:
    if isinstance(prompt, str):
        return len(prompt)
    if depth and isinstance(prompt, Mapping):
        return sum(_length(value, depth - 1) for key, value in prompt.items() if key in ("content", "text", "parts"))
    if depth and isinstance(prompt, (list, tuple)):
        return sum(_length(item, depth - 1) for item in prompt)
    return 0
