"""The numbers and names that you may want to change: thresholds, windows, refresh, colours.

The thresholds are those of the alert rules, or warn before them. After a change, run `python3 -m grafana.generator`
to write the dashboards again.
"""

from __future__ import annotations

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"

# Colour steps: the first colour holds below the first number, each later one from its number upwards.
Steps = tuple[tuple[float | None, str], ...]

#: Tokens that one persona used in the last hour; 1800 is the medium budget of the personas.
TOKENS_USED: Steps = ((None, GREEN), (1500, YELLOW), (1800, RED))
#: Tokens left in a budget; below 0 the alert TokenBudgetExceeded fires.
BUDGET_REMAINING: Steps = ((None, RED), (0, YELLOW), (500, GREEN))
BUDGET_MIN, BUDGET_MAX = -500, 2500
#: Duration of a stage in seconds.
STAGE_SECONDS: Steps = ((None, GREEN), (30, YELLOW), (60, RED))
#: Share of passed quality gates; HighQualityGateFailureRate fires below 0.8.
GATE_SUCCESS: Steps = ((None, RED), (0.80, YELLOW), (0.95, GREEN))
#: Failed gates of one stage in the last hour. They are whole numbers, so "above 5" begins at 6, where the bar is full.
FAILED_GATES: Steps = ((None, GREEN), (1, YELLOW), (6, RED))
FAILED_GATES_FULL = 6
#: Where none is good, a single one is a short bar: Grafana 9 draws the only bar as high as the panel.
MANY = 6
#: Transitions are shaded by their number, up to 30, from which ExcessivePersonaSwitching assumes a loop.
TRANSITIONS_FULL = 30
#: Share of input tokens from the provider's cache: 60 % is good. A low share is no fault: short prompts are not cached.
CACHE_HIT: Steps = ((None, BLUE), (0.6, GREEN))
#: Seconds until the first chunk of a streamed call, and for a whole call.
FIRST_CHUNK_SECONDS: Steps = ((None, GREEN), (5, YELLOW), (30, RED))
CALL_SECONDS: Steps = ((None, GREEN), (30, YELLOW), (60, RED))
#: The number of undesirable events: 0 is good.
NONE_IS_GOOD: Steps = ((None, GREEN), (1, YELLOW))
NONE_IS_GOOD_ELSE_RED: Steps = ((None, GREEN), (1, RED))
#: Share of a disk that is free; DiskAlmostFull fires below 0.05, and below 0.15 if the disk is filling up.
DISK_FREE: Steps = ((None, RED), (0.05, YELLOW), (0.15, GREEN))
#: Seconds by which metrics arrive late; DeliveryLagging fires above 300.
LAG_SECONDS: Steps = ((None, GREEN), (60, YELLOW), (300, RED))
#: A value that is neither good nor bad.
NEUTRAL: Steps = ((None, BLUE),)

#: The kinds of tokens, each with its colour.
TOKEN_KINDS = {"input": BLUE, "cache_read": GREEN, "cache_write": YELLOW, "output": "purple", "reasoning": "orange"}

#: Number of rows in the "top" panels.
TOP = 10
#: The window of the panels about the last hour, whatever range the dashboard shows.
LAST_HOUR = "1h"

#: Whole numbers with separators: 1,150 tokens and not "1 K".
WHOLE = "locale"
#: Plain seconds: 1680 s and not "28 mins" in one row and "27.0 mins" in the next.
SECONDS = "suffix:s"

#: The time range when a dashboard is opened.
DEFAULT_RANGE = "now-6h"
PERSONA_REFRESH = "10s"
WORKFLOW_REFRESH = "30s"
#: One switch in one minute reads as 1; a finer grid would show it as a spike of 4 or 12 a minute.
RATE_INTERVAL = "1m"
#: Columns of a panel over time: one minute each in the default range, so a new run shows within a minute.
TIME_COLUMNS = 360
#: Columns of narrower or expensive panels: two minutes each in the default range.
FEWER_COLUMNS = 180
HEATMAP_COLUMNS = 120
