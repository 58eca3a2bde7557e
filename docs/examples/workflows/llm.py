"""The examples' LLM: simulated, so that they need no account; it reports exactly the tokens that it is told to use.

Yours is `ObservableLLM(client.chat.completions.create)` or one of the others in docs/integrations.md.
"""

from __future__ import annotations

from hypertool import ObservableLLM
from hypertool.simulation.llm import SimulatedLLM

simulated = SimulatedLLM(seconds=0.02)
ask = ObservableLLM(simulated, simulated.model, provider=simulated.model)
