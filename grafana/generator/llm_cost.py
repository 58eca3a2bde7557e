"""The dashboard "Hypertool LLM Cost and Latency": cost, duration and outcome of model calls."""

from __future__ import annotations

from prometheus.generator.counting import Metric, block, count_in, quantile, total, zero_in

from . import panels as p
from .dashboard import dashboard, query_variable
from .links import langfuse_link, link_to, outward_variables
from .parameters import (
    CACHE_HIT,
    CALL_SECONDS,
    FEWER_COLUMNS,
    FIRST_CHUNK_SECONDS,
    NEUTRAL,
    NONE_IS_GOOD,
    RATE_INTERVAL,
    RED,
    SECONDS,
    TOKEN_KINDS,
    TOP,
    WHOLE,
    WORKFLOW_REFRESH,
    YELLOW,
)

SCOPE = ('instance=~"$instance"', 'persona=~"$persona"', 'model=~"$model"')
COST = Metric("hypertool_llm_cost_usd_total", SCOPE)
REQUESTS = Metric("hypertool_llm_requests_total", SCOPE)
TOKENS = Metric("hypertool_llm_tokens_total", SCOPE)
MISSING = Metric("hypertool_llm_usage_missing_total", SCOPE)
CALL_BUCKETS = Metric("hypertool_llm_request_duration_seconds_bucket", SCOPE)
CHUNK_BUCKETS = Metric("hypertool_llm_time_to_first_chunk_seconds_bucket", SCOPE)
RANGE, COLUMN = "$__range", "$__interval"
NO_CALLS = "No LLM calls in this time range"


def build() -> p.Json:
    return dashboard(
        "hypertool-llm-cost",
        "Hypertool LLM Cost and Latency",
        "What the calls of the models cost, how long they take, and how they end.",
        refresh=WORKFLOW_REFRESH,
        variables=[
            query_variable(
                "persona",
                "Persona",
                f"label_values({REQUESTS.name}{{{SCOPE[0]}}}, persona)",
                "The personas whose calls are shown.",
            ),
            query_variable(
                "model",
                "Model",
                f"label_values({REQUESTS.name}{{{SCOPE[0]}, {SCOPE[1]}}}, model)",
                "The models whose calls are shown.",
            ),
            *outward_variables(),
        ],
        panels=[
            cost(),
            calls_by_outcome(),
            cache_hits(),
            usage_missing(),
            cost_over_time(),
            cost_by_persona(),
            call_duration(),
            first_chunk(),
            tokens_by_kind(),
            cost_of_a_call(),
        ],
    )


def cost() -> p.Json:
    return p.stat(
        "Cost",
        "What the calls of this time range cost, where the price of the model is known. Good: what you expect of the "
        "runs in this time. A simulated or local model costs 0.",
        targets=[p.instant(total(count_in(COST, RANGE)), "Cost")],
        grid=(0, 0, 6, 5),
        unit="currencyUSD",
        no_value=NO_CALLS,
        steps=NEUTRAL,
        filled=False,
        named=False,
    )


def calls_by_outcome() -> p.Json:
    return p.stat(
        "Calls by Outcome",
        "How the calls of this time range ended: success, error, cancelled (the program stopped reading) or blocked "
        "(no budget left). Good: success alone, in every range.",
        targets=[p.instant(f"{total(count_in(REQUESTS, RANGE), 'outcome')} > 0", "{{outcome}}")],
        grid=(6, 0, 6, 5),
        unit=WHOLE,
        no_value=NO_CALLS,
        steps=NEUTRAL,
        filled=False,
        defaults={"displayName": "${__field.labels.outcome}", "decimals": 0},
        overrides=[p.colored_series("/error|blocked/", RED), p.colored_series("/cancelled/", YELLOW)],
    )


def cache_hits() -> p.Json:
    read = total(count_in(TOKENS.where('kind="cache_read"'), RANGE), "model")
    read_and_new = TOKENS.where('kind=~"input|cache_read|cache_write"')
    prompt = total(count_in(read_and_new, RANGE), "model")
    none_read = total(zero_in(read_and_new, RANGE), "model")
    return p.horizontal_bars(
        "Cache Hit Ratio",
        "Share of the input tokens that came from the provider's cache, by model. Good: 60 % and more where prompts "
        "repeat; below 30 % look at what changes at the beginning of the prompts.",
        targets=[p.instant(f"sort_desc(({read} or {none_read}) / ({prompt} > 0))", "{{model}}")],
        grid=(12, 0, 6, 5),
        unit="percentunit",
        no_value="No tokens in this range",
        name="${__field.labels.model}",
        steps=CACHE_HIT,
        defaults={"min": 0, "max": 1, "decimals": 0},
    )


def usage_missing() -> p.Json:
    missing = f"{total(count_in(MISSING, RANGE))} or {total(zero_in(REQUESTS, RANGE))}"
    return p.stat(
        "Unknown Usage",
        "Calls of this time range whose tokens, and so whose cost, are not known: unknown is not zero. Good: 0. "
        "Otherwise the figures beside are too low.",
        targets=[p.instant(missing, "Calls of unknown usage")],
        grid=(18, 0, 6, 5),
        unit=WHOLE,
        no_value=NO_CALLS,
        steps=NONE_IS_GOOD,
        named=False,
        defaults={"decimals": 0},
    )


def cost_over_time() -> p.Json:
    return p.bars_over_time(
        "Cost over Time",
        "Cost by model; each bar is what was spent up to its time. Good: bars where you ran something, of the usual "
        "height.",
        targets=[p.over_time(f"{total(count_in(COST, COLUMN), 'model')} > 0", "{{model}}")],
        grid=(0, 5, 12, 9),
        unit="currencyUSD",
        no_value="No call has cost anything in this time range",
        legend=["sum", "max"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def cost_by_persona() -> p.Json:
    return p.horizontal_bars(
        "Cost by Persona",
        f"The {TOP} personas that cost most in this time range. Good: in proportion to the work that they do.",
        targets=[p.instant(f"topk({TOP}, {total(count_in(COST, RANGE), 'persona')} > 0)", "{{persona}}")],
        grid=(12, 5, 12, 9),
        unit="currencyUSD",
        no_value="No call has cost anything in this time range",
        name="${__field.labels.persona}",
        beside=True,
        steps=NEUTRAL,
        defaults={
            "min": 0,
            "links": [
                link_to("hypertool-persona-overview", "Budget of the personas"),
                langfuse_link("${__field.labels.persona}"),
            ],
        },
    )


def call_duration() -> p.Json:
    return p.points_over_time(
        "Call Duration",
        "95 of 100 calls of a model took at most so long; a point for each column in which a call ended. Good: below "
        "the first dashed line, 30 s. Interpolated in buckets: with one or two calls it says which bucket.",
        targets=[p.over_time(quantile(0.95, count_in(CALL_BUCKETS, COLUMN), "model"), "{{model}} p95")],
        grid=(0, 14, 12, 9),
        unit=SECONDS,
        no_value=NO_CALLS,
        steps=CALL_SECONDS,
        legend=["max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def first_chunk() -> p.Json:
    return p.points_over_time(
        "Time to First Chunk",
        "95 of 100 streamed calls of a model waited at most so long for their first chunk. Good: below the first "
        "dashed line, 5 s. Calls that do not stream are not in it.",
        targets=[p.over_time(quantile(0.95, count_in(CHUNK_BUCKETS, COLUMN), "model"), "{{model}} p95")],
        grid=(12, 14, 12, 9),
        unit=SECONDS,
        no_value="No streamed LLM calls in this time range",
        steps=FIRST_CHUNK_SECONDS,
        legend=["max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def tokens_by_kind() -> p.Json:
    return p.bars_over_time(
        "Tokens by Kind",
        "Tokens of the calls; each token is in one kind: input, read from or written to the provider's cache, output, "
        "reasoning. Good: much cache_read where prompts repeat.",
        targets=[p.over_time(f"{total(count_in(TOKENS, COLUMN), 'kind')} > 0", "{{kind}}")],
        grid=(0, 23, 12, 9),
        unit=WHOLE,
        no_value="No tokens used in this time range",
        overrides=[p.colored_series(f"/^{kind}$/", color) for kind, color in TOKEN_KINDS.items()],
        legend=["sum", "max"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def cost_of_a_call() -> p.Json:
    by = ("persona", "model")
    spent = block(f"{total(count_in(COST, RANGE), *by)}\nor\n{total(zero_in(REQUESTS, RANGE), *by)}")
    calls = total(count_in(REQUESTS, RANGE), *by)
    return p.table(
        "Cost of a Call",
        f"The {TOP} pairs of persona and model whose calls cost most, on average, in this time range. Good: expensive "
        "models only for the personas that need them.",
        targets=[p.instant(f"topk({TOP}, {spent} / ({calls} > 0))", "", table=True)],
        grid=(12, 23, 12, 9),
        unit="none",
        no_value=NO_CALLS,
        sort_by=("USD a call", "Persona", "Model"),
        units={"USD a call": "currencyUSD"},
        widths={"USD a call": 130},
        links={
            "Persona": [link_to("hypertool-workflow-performance", "Stages of this persona", persona="${__value.raw}")],
            "Model": [langfuse_link("${__value.raw}")],
        },
        transformations=[p.organized({"persona": "Persona", "model": "Model", "Value": "USD a call"})],
    )
