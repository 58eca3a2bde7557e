"""Reserve before the call, settle after: how calls that run at once share a budget that blocks."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import TokenBudgetExceeded

if TYPE_CHECKING:
    from ..catalogue import Persona
    from ..collector import PersonaMetricsCollector
    from ..recorder import Recorder
    from ..runs import Run

FIRST_GUESS = 1_000
_CHARACTERS_PER_TOKEN = 4
_MAX_TOKENS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "maxTokens")


class Reservation:
    """Tokens of a budget that one call in flight may still use; given back by `release`, once."""

    __slots__ = ("_key", "_ledger", "tokens")

    def __init__(self, ledger: Ledger, key: tuple[str, str], tokens: int) -> None:
        self._ledger = ledger
        self._key = key
        self.tokens = tokens

    def release(self, used: int | None) -> None:
        """The call has ended and its use, where known, is debited; the recorder's lock is the caller's."""
        tokens, self.tokens = self.tokens, 0
        if tokens:
            self._ledger.give_back(self._key, tokens)
        if used is not None:
            self._ledger.largest[self._key[1]] = max(used, self._ledger.largest.get(self._key[1], 0))


class Ledger:
    """What the calls in flight of one process have reserved, by run (none: the window is the host's) and persona."""

    def __init__(self) -> None:
        self.epoch: object = None
        self.reserved: dict[tuple[str, str], int] = {}
        self.largest: dict[str, int] = {}

    def give_back(self, key: tuple[str, str], tokens: int) -> None:
        """Take a reservation back; what a parent process reserved before a fork is not ours to take."""
        left = self.reserved.get(key, 0) - tokens
        if left > 0:
            self.reserved[key] = left
        else:
            self.reserved.pop(key, None)


_ledgers: weakref.WeakKeyDictionary[Recorder, Ledger] = weakref.WeakKeyDictionary()


def reserve(collector: PersonaMetricsCollector, persona: Persona, run: Run | None, prompt: Any,
            arguments: Mapping[str, Any]) -> Reservation:
    """Reserve what the call may use. Raises TokenBudgetExceeded where nothing is left beside other calls in flight."""
    recorder = collector.recorder
    if persona.window != "run":
        collector.get_remaining_budget(persona.name)  # reads the host's ledger, which the next one has at hand
    with recorder.lock:
        ledger = _ledgers.get(recorder)
        if ledger is None or ledger.epoch is not recorder.epoch:
            ledger = _ledgers[recorder] = Ledger()
            ledger.epoch = recorder.epoch
        mine = recorder.run_of(run)
        key = (mine.id if persona.window == "run" else "", persona.name)
        if persona.window == "run":
            account = mine.accounts.get(persona.name)
            remaining = account.remaining if account is not None else persona.tokens
        else:
            remaining = collector.get_remaining_budget(persona.name)
        left = remaining - ledger.reserved.get(key, 0)
        if left <= 0:
            raise TokenBudgetExceeded(persona.name, persona.tokens, left)
        tokens = min(_wanted(ledger, persona.name, prompt, arguments), left)
        ledger.reserved[key] = ledger.reserved.get(key, 0) + tokens
        return Reservation(ledger, key, tokens)


def _wanted(ledger: Ledger, persona: str, prompt: Any, arguments: Mapping[str, Any]) -> int:
    for name in _MAX_TOKENS:
        most = arguments.get(name)
        if isinstance(most, int) and not isinstance(most, bool) and most > 0:
            return most + _length(prompt) // _CHARACTERS_PER_TOKEN
    return ledger.largest.get(persona) or FIRST_GUESS


def _length(prompt: Any, depth: int = 6) -> int:
    if isinstance(prompt, str):
        return len(prompt)
    if depth and isinstance(prompt, Mapping):
        return sum(_length(value, depth - 1) for key, value in prompt.items() if key in ("content", "text", "parts"))
    if depth and isinstance(prompt, (list, tuple)):
        return sum(_length(item, depth - 1) for item in prompt)
    return 0
