"""The exceptions of this package."""

from __future__ import annotations


class HypertoolError(Exception):
    """Base of everything below; its text is one line that a person can act on."""


class ConfigError(HypertoolError):
    """The persona file cannot be used; names the file, the line if known, and the reason."""


class StoreUnavailable(HypertoolError):
    """The state directory cannot be read or written."""


class PromptUnavailable(HypertoolError):
    """A prompt of Langfuse's cannot be had, and no fallback was given."""


class QualityGateFailed(HypertoolError):
    """Raised by a stage's own code to fail its gate."""


class TokenBudgetExceeded(HypertoolError):
    """A persona whose budget says `on_exceed = "block"` has nothing left in its current window.

    Attributes: `persona`, `limit` and `remaining` (tokens; remaining is 0 or negative).
    """

    def __init__(self, persona: str, limit: int, remaining: int) -> None:
        super().__init__(
            f"the token budget of {persona} is used up ({remaining} of {limit} tokens left) and its "
            f'configuration says on_exceed = "block"; raise the budget, or reset it with '
            f"`hypertool budget --persona {persona} --reset`"
        )
        self.persona = persona
        self.limit = limit
        self.remaining = remaining
