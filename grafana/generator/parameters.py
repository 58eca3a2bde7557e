"""Every number and name that somebody may want to change: thresholds, windows, refresh, colours.

The thresholds are the ones the alert rules act on or lead up to; a change here is followed by
`python3 -m grafana.generator`, which writes the dashboards again.
"""

from __future__ import annotations

GREEN, YELLOW, RED = "green", "yellow", "red"

# Colour steps: the first colour holds below the first number, each other one from its number upwards.
Steps = tuple[tuple[float | None, str], ...]

#: Tokens one persona used in the last hour; 1800 is the budget of the personas with a middling one.
TOKENS_USED: Steps = ((None, GREEN), (1500, YELLOW), (1800, RED))
#: Tokens left in a budget; below 0 is what the alert TokenBudgetExceeded says.
BUDGET_REMAINING: Steps = ((None, RED), (0, YELLOW), (500, GREEN))
BUDGET_MIN, BUDGET_MAX = -500, 2500
#: Seconds that a stage takes.
STAGE_SECONDS: Steps = ((None, GREEN), (30, YELLOW), (60, RED))
#: Share of quality gates passed; HighQualityGateFailureRate fires below 0.8.
GATE_SUCCESS: Steps = ((None, RED), (0.80, YELLOW), (0.95, GREEN))
#: Failed gates of one stage in the last hour. They are whole numbers, so "above 5" begins at 6.
FAILED_GATES: Steps = ((None, GREEN), (1, YELLOW), (6, RED))

#: How many rows the "top" panels show.
TOP = 10
#: The window of the panels that speak of the last hour, whatever range the dashboard shows.
LAST_HOUR = "1h"

#: Time range that the dashboards open with.
DEFAULT_RANGE = "now-6h"
PERSONA_REFRESH = "10s"
WORKFLOW_REFRESH = "30s"
#: One switch in one minute reads as 1; a finer grid would show it as a spike of 4 or 12 a minute.
RATE_INTERVAL = "1m"
#: Columns of a panel over time: a minute each in the default range, so a new run shows within a minute.
TIME_COLUMNS = 360
HEATMAP_COLUMNS = 120
