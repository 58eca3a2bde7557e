"""The dashboard "Hypertool Persona Overview": who is active, for how long, and at what price in tokens."""

from __future__ import annotations

from prometheus.generator.counting import Metric, block, count_in, total, zero_where_scraped

from . import panels as p
from .dashboard import dashboard
from .parameters import (
    BUDGET_MAX,
    BUDGET_MIN,
    BUDGET_REMAINING,
    HEATMAP_COLUMNS,
    LAST_HOUR,
    PERSONA_REFRESH,
    RATE_INTERVAL,
    TIME_COLUMNS,
    TOKENS_USED,
    TOP,
)

HOSTS = 'instance=~"$instance"'
SWITCHES = Metric("hypertool_persona_switches_total", (HOSTS,))
DURATION_BUCKETS = Metric("hypertool_persona_duration_seconds_bucket", (HOSTS,))
TOKENS = Metric("hypertool_persona_tokens_used_total", (HOSTS,))
BUDGET = Metric("hypertool_persona_token_budget_remaining", (HOSTS,))
TRANSITION = ("from_persona", "to_persona", "chatmode")


def build() -> p.Json:
    return dashboard(
        "hypertool-persona-overview",
        "Hypertool Persona Overview",
        "Which personas the agents take on, how long they stay in them, and what they spend of their budgets.",
        refresh=PERSONA_REFRESH,
        variables=[],
        panels=[
            switch_rate(),
            duration_distribution(),
            token_usage(),
            budget_remaining(),
            top_transitions(),
        ],
    )


def switch_rate() -> p.Json:
    counted = count_in(SWITCHES, "$__interval")
    per_interval = block(f"{counted}\nor\n{zero_where_scraped(SWITCHES)}")
    return p.timeseries(
        "Persona Switch Rate",
        "Switches per minute, by transition and chatmode. Good: a few switches for each run, and quiet in "
        "between. A pair of personas that stays high in both directions is a ping-pong loop, which the "
        "alert ExcessivePersonaSwitching reports from 30 switches in 5 minutes. A run shows as soon as its"
        " column of the graph is complete.",
        targets=[
            p.over_time(
                f"60000 * {total(per_interval, *TRANSITION)} / $__interval_ms",
                "{{from_persona}} -> {{to_persona}} ({{chatmode}})",
            )
        ],
        grid=(0, 0, 12, 10),
        unit="cpm",
        no_value="No persona switches in this time range",
        style={"lineInterpolation": "stepBefore", "fillOpacity": 15, "showPoints": "never"},
        legend=["mean", "max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=TIME_COLUMNS,
    )


def duration_distribution() -> p.Json:
    counted = count_in(DURATION_BUCKETS, "$__interval")
    return p.heatmap(
        "Persona Duration Distribution",
        "How many persona sessions ended, by their length. A session is counted when it ends. Good: a "
        "stable band. A band that climbs, or cells above 600 s, means that agents stay in one persona for "
        "longer than they used to.",
        targets=[p.over_time(total(counted, "le"), "{{le}}", heatmap=True)],
        grid=(12, 0, 12, 10),
        unit="short",
        y_unit="s",
        no_value="No persona session ended in this time range",
        interval=RATE_INTERVAL,
        maxDataPoints=HEATMAP_COLUMNS,
    )


def token_usage() -> p.Json:
    return p.horizontal_bars(
        "Token Usage by Persona",
        "Input and output tokens of the last hour, whatever range the dashboard shows, as the providers "
        "report them. Good: green, below 1500. Red from 1800 on: one more run like that, and most budgets "
        "are overspent. A persona that used nothing has no bar.",
        targets=[
            p.instant(f"sort_desc({total(count_in(TOKENS, LAST_HOUR), 'persona')} > 0)", "{{persona}}"),
        ],
        grid=(0, 10, 8, 10),
        unit="short",
        no_value="No tokens used in the last hour",
        steps=TOKENS_USED,
        defaults={"min": 0, "decimals": 0},
        timeFrom=LAST_HOUR,
    )


def budget_remaining() -> p.Json:
    return p.gauges(
        "Token Budget Remaining",
        "Tokens left in the current budget window of each persona; with several hosts or runs, the least "
        "that any of them has left. Good: green, above 500. Below 0 the budget is overspent, and the alert"
        " TokenBudgetExceeded fires after one minute.",
        targets=[p.instant(f"min by (persona) ({BUDGET})", "{{persona}}")],
        grid=(8, 10, 16, 10),
        unit="short",
        no_value="No host reports its budgets",
        steps=BUDGET_REMAINING,
        defaults={"min": BUDGET_MIN, "max": BUDGET_MAX, "decimals": 0},
    )


def top_transitions() -> p.Json:
    counted = total(count_in(SWITCHES, LAST_HOUR), *TRANSITION)
    return p.table(
        "Top Persona Transitions",
        f"The {TOP} most frequent transitions of the last hour, whatever range the dashboard shows. "
        "Good: the hand-overs of your workflows, each about as often as the workflow ran. "
        "The same two personas in both directions at the top: they do not agree.",
        targets=[p.instant(f"topk({TOP}, {counted} > 0)", "", table=True)],
        grid=(0, 20, 24, 9),
        unit="none",
        no_value="No persona switches in the last hour",
        sort_by="Switches",
        colored={"color": {"mode": "continuous-GrYlRd"}, "min": 0, "decimals": 0},
        transformations=[
            p.organized(
                {
                    "from_persona": "From Persona",
                    "to_persona": "To Persona",
                    "chatmode": "Chatmode",
                    "Value": "Switches",
                }
            )
        ],
        timeFrom=LAST_HOUR,
    )
