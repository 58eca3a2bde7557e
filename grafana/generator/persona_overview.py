"""The dashboard "Hypertool Persona Overview": which persona is active, for how long, and at what cost in tokens."""

from __future__ import annotations

from prometheus.generator.counting import (
    BUILD_INFO,
    KNOWN,
    TARGET,
    Metric,
    block,
    count_in,
    total,
    zero_in,
    zero_where_scraped,
)

from . import panels as p
from .dashboard import FIRING, dashboard
from .links import link_to
from .parameters import (
    BUDGET_MAX,
    BUDGET_MIN,
    BUDGET_REMAINING,
    FEWER_COLUMNS,
    HEATMAP_COLUMNS,
    LAST_HOUR,
    NEUTRAL,
    NONE_IS_GOOD,
    NONE_IS_GOOD_ELSE_RED,
    PERSONA_REFRESH,
    RATE_INTERVAL,
    TIME_COLUMNS,
    TOKENS_USED,
    TOP,
    TRANSITIONS_FULL,
    WHOLE,
)

HOSTS = 'instance=~"$instance"'
SWITCHES = Metric("hypertool_persona_switches_total", (HOSTS,))
DURATION_BUCKETS = Metric("hypertool_persona_duration_seconds_bucket", (HOSTS,))
TOKENS = Metric("hypertool_persona_tokens_used_total", (HOSTS,))
BUDGET = Metric("hypertool_persona_token_budget_remaining", (HOSTS,))
LIMIT = Metric("hypertool_persona_token_budget_limit", (HOSTS,))
COST = Metric("hypertool_llm_cost_usd_total", (HOSTS,))
REQUESTS = Metric("hypertool_llm_requests_total", (HOSTS, 'outcome=~"error|blocked"'))
TRANSITION = ("from_persona", "to_persona", "chatmode")
COSTS = link_to("hypertool-llm-cost", "Cost and latency of this persona", persona="${__field.labels.persona}")


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
            alerts_firing(),
            last_run(),
            cost(),
            failed_calls(),
        ],
    )


def switch_rate() -> p.Json:
    counted = count_in(SWITCHES, "$__interval")
    per_interval = block(f"{counted}\nor\n{zero_where_scraped(SWITCHES)}")
    return p.bars_over_time(
        "Persona Switch Rate",
        "Switches per minute, by transition and chatmode. Good: a few switches for each run, and quiet in "
        "between. A pair of personas that stays high in both directions is a ping-pong loop, which the "
        "alert ExcessivePersonaSwitching reports from 30 switches in 5 minutes. A run shows as soon as its"
        " column of the graph is complete, which takes a minute or two.",
        targets=[
            p.over_time(
                f"60000 * {total(per_interval, *TRANSITION)} / $__interval_ms",
                "{{from_persona}} -> {{to_persona}} ({{chatmode}})",
            )
        ],
        grid=(0, 4, 16, 9),
        # Without a unit, all three columns of the legend fit on a laptop.
        unit="none",
        axis="switches a minute",
        defaults={"decimals": 3},
        no_value="No persona switches in this time range",
        legend=["mean", "max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def duration_distribution() -> p.Json:
    counted = count_in(DURATION_BUCKETS, "$__interval")
    # Grafana derives the width of a cell from two columns, so a single run would draw nothing.
    empty_columns = f"0 * last_over_time({DURATION_BUCKETS}[$__range] @ end())"
    return p.heatmap(
        "Persona Duration Distribution",
        "How many persona sessions ended, by their length. A session is counted when it ends. Good: a "
        "stable band. A band that climbs, or cells above 600 s, means that agents stay in one persona for "
        'longer than they used to. "No data" means that none has ended before the newest column.',
        targets=[
            p.over_time(f"{total(counted, 'le')}\nor\n{total(block(empty_columns), 'le')}", "{{le}}", heatmap=True)
        ],
        grid=(16, 4, 8, 9),
        unit=WHOLE,
        no_value="No persona session ended in this time range",
        y_unit="s",
        interval=RATE_INTERVAL,
        maxDataPoints=HEATMAP_COLUMNS,
    )


def token_usage() -> p.Json:
    return p.horizontal_bars(
        "Token Usage by Persona",
        "Tokens used in the last hour, input and output, whatever range the dashboard shows. Good: green, "
        "below 1500. The colour compares an hour with the budget of one run (yellow from 1500, red from 1800), so a "
        "persona with several runs in an hour is red without having overspent: for that look at the gauges. A persona "
        "that used nothing has no bar.",
        targets=[
            p.instant(f"sort_desc({total(count_in(TOKENS, LAST_HOUR), 'persona')} > 0)", "{{persona}}"),
        ],
        grid=(0, 20, 9, 9),
        unit=WHOLE,
        no_value="No tokens used in the last hour",
        name="${__field.labels.persona}",
        beside=True,
        steps=TOKENS_USED,
        defaults={"min": 0, "decimals": 0, "links": [COSTS]},
        timeFrom=LAST_HOUR,
    )


def budget_remaining() -> p.Json:
    left = f"min by (persona) ({BUDGET})"
    # The limit as a label, to show it beside what is left; `count_values` turns a value into a label.
    limits = f'count_values by (persona) ("limit", max by (persona) ({LIMIT}))'
    return p.gauges(
        "Token Budget Remaining",
        "Tokens left in the current budget window of each persona, and the limit; with several hosts or runs, the "
        "least that any of them has left. Good: green, above 500. Below 0 the budget is overspent, and the alert"
        " TokenBudgetExceeded fires after one minute.",
        targets=[
            p.instant(
                f"{left} * on (persona) group_left (limit) {limits}\nor on (persona) {left}", "{{persona}} of {{limit}}"
            )
        ],
        grid=(0, 13, 24, 7),
        unit=WHOLE,
        no_value="No host reports its budgets",
        name="${__field.labels.persona} of ${__field.labels.limit}",
        steps=BUDGET_REMAINING,
        defaults={"min": BUDGET_MIN, "max": BUDGET_MAX, "decimals": 0, "links": [COSTS]},
    )


def top_transitions() -> p.Json:
    counted = total(count_in(SWITCHES, LAST_HOUR), *TRANSITION)
    return p.table(
        "Top Persona Transitions",
        f"The {TOP} most frequent transitions of the last hour, whatever range the dashboard shows. "
        "Good: the hand-overs of your workflows, each about as often as the workflow ran. "
        f"The shade is full at {TRANSITIONS_FULL}. The same two personas in both directions at the top: they do not "
        "agree.",
        targets=[p.instant(f"topk({TOP}, {counted} > 0)", "", table=True)],
        grid=(9, 20, 15, 9),
        unit="none",
        no_value="No persona switches in the last hour",
        sort_by=("Switches", "From Persona", "To Persona"),
        colored={
            "color": {"mode": "continuous-blues"},
            "min": 0,
            "max": TRANSITIONS_FULL,
            "unit": WHOLE,
            "decimals": 0,
        },
        widths={"Switches": 120},
        links={
            "To Persona": [
                link_to("hypertool-llm-cost", "Cost and latency of this persona", persona="${__value.raw}"),
                link_to("hypertool-workflow-performance", "Stages of this persona", persona="${__value.raw}"),
            ]
        },
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


def alerts_firing() -> p.Json:
    firing = Metric("ALERTS", (*FIRING, 'instance=~"$instance|"'))
    return p.stat(
        "Alerts Firing",
        "How many alerts of hypertool fire now; the dashboard Pipeline Health lists them. Good: 0. Where "
        "Prometheus does not evaluate the rules of hypertool, nothing is known about alerts.",
        targets=[p.instant(f'count({firing}) or 0 * count(ALERTS{{alertname="Watchdog"}})', "Alerts firing")],
        grid=(0, 0, 6, 4),
        unit=WHOLE,
        no_value="No rule has been evaluated yet",
        steps=NONE_IS_GOOD_ELSE_RED,
        named=False,
        defaults={"decimals": 0, "links": [link_to("hypertool-pipeline-health", "Which alerts")]},
    )


def last_run() -> p.Json:
    tokens, known = f"sum by ({TARGET}) ({TOKENS})", f"last_over_time({BUILD_INFO}[{KNOWN}] offset $__range)"

    def changed(step: str) -> str:
        # A host that was scraped one step ago without tokens had 0 tokens then, so the very first run counts too. After
        # a purge of the store, what is there was used since.
        before = f"sum by ({TARGET}) ({TOKENS} offset {step}) or 0 * sum by ({TARGET}) ({BUILD_INFO} offset {step})"
        return f"timestamp(({tokens} > 0) != ({before}))"

    # The first that a host has: its last minute, which has not ended yet, its last hour, the range. On a new host the
    # run may have ended before the first scrape; then it counts from there, and before the first full minute from now.
    # The time of a sum and not of each series: for that, Prometheus 2.42 reads at each step all that came before.
    alternatives = [
        changed("1m"),
        f"max_over_time({changed('1m')}[{LAST_HOUR}:1m])",
        f"max_over_time({changed('$__interval')}[$__range:$__interval])",
        f"min_over_time(timestamp({tokens} > 0)[$__range:$__interval]) unless on ({TARGET}) {known}",
        f"timestamp({tokens} > 0) unless on ({TARGET}) {known}",
    ]
    last = "\nor\n".join(block(one) for one in alternatives)
    return p.stat(
        "Last Tokens Used",
        "How long ago any persona last used tokens, in this time range or the last hour; to the minute in the last "
        "hour. Good: as recent as your agents are busy.",
        targets=[p.instant(f"1000 * max {block(last)}", "Last tokens used")],
        grid=(6, 0, 6, 4),
        unit="dateTimeFromNow",
        no_value="No tokens in this time range",
        steps=NEUTRAL,
        filled=False,
        named=False,
        interval=RATE_INTERVAL,
        maxDataPoints=TIME_COLUMNS,
    )


def cost() -> p.Json:
    return p.stat(
        "LLM Cost",
        "What the LLM calls of this time range cost, where the price of the model is known. Good: what you expect of "
        "the runs in this time. By model and persona: dashboard LLM Cost and Latency.",
        targets=[p.instant(total(count_in(COST, "$__range")), "LLM cost")],
        grid=(12, 0, 6, 4),
        unit="currencyUSD",
        no_value="No LLM calls in this time range",
        steps=NEUTRAL,
        filled=False,
        named=False,
        defaults={"links": [link_to("hypertool-llm-cost", "Cost and latency")]},
    )


def failed_calls() -> p.Json:
    every = Metric("hypertool_llm_requests_total", (HOSTS,))
    failed = f"{total(count_in(REQUESTS, '$__range'))} or {total(zero_in(every, '$__range'))}"
    return p.stat(
        "Failed LLM Calls",
        "LLM calls of this time range that ended with an error or were blocked by a budget. Good: 0, or a few "
        "that your agents try again.",
        targets=[p.instant(failed, "Failed LLM calls")],
        grid=(18, 0, 6, 4),
        unit=WHOLE,
        no_value="No LLM calls in this time range",
        steps=NONE_IS_GOOD,
        named=False,
        defaults={"decimals": 0, "links": [link_to("hypertool-llm-cost", "Outcomes of calls")]},
    )
