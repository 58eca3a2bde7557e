"""The dashboard "Hypertool Agents": which coding agents work here, what they use, and what stopped them."""

from __future__ import annotations

from prometheus.generator.counting import Metric, count_in, total

from . import panels as p
from .dashboard import dashboard, query_variable
from .links import link_to
from .parameters import (
    FEWER_COLUMNS,
    MANY,
    NEUTRAL,
    NONE_IS_GOOD,
    RATE_INTERVAL,
    TOKEN_KINDS,
    TOP,
    WHOLE,
    WORKFLOW_REFRESH,
)

AGENT = ('instance=~"$instance"', 'agent=~"$agent"')
SCOPE = (*AGENT, 'persona=~"$persona"')
CALLS = Metric("hypertool_agent_calls_total", SCOPE)
TOKENS = Metric("hypertool_agent_tokens_total", SCOPE)
BLOCKED = Metric("hypertool_agent_blocked_total", SCOPE)
UNRECOGNISED = Metric("hypertool_agent_unrecognised_total", AGENT)
SESSIONS = Metric("hypertool_agent_sessions_active", AGENT)
LAST_SEEN = Metric("hypertool_agent_last_seen_timestamp_seconds", AGENT)
RANGE, COLUMN = "$__range", "$__interval"
NO_CALLS = "No calls of coding agents in this time range"


def build() -> p.Json:
    return dashboard(
        "hypertool-agents",
        "Hypertool Agents",
        "Which coding agents work on the hosts, what they use, and what stopped them.",
        refresh=WORKFLOW_REFRESH,
        variables=[
            query_variable(
                "agent",
                "Agent",
                f"label_values({SESSIONS.name}{{{AGENT[0]}}}, agent)",
                "The coding agents that are shown.",
            ),
            query_variable(
                "persona",
                "Persona",
                f"label_values({CALLS.name}{{{', '.join(AGENT)}}}, persona)",
                "The personas whose calls are shown.",
            ),
        ],
        panels=[
            active_sessions(),
            last_heard_of(),
            not_understood(),
            calls_over_time(),
            tokens_by_kind(),
            tokens_by_agent(),
            blocked(),
            sources(),
        ],
    )


def active_sessions() -> p.Json:
    return p.stat(
        "Active Sessions",
        "Sessions of coding agents that were heard of in the last 15 minutes. Good: the ones that you know of.",
        targets=[p.instant(f"{total(f'({SESSIONS})', 'agent')} > 0", "{{agent}}")],
        grid=(0, 0, 6, 7),
        unit=WHOLE,
        no_value="No session in the last 15 minutes",
        steps=NEUTRAL,
        filled=False,
        defaults={"decimals": 0, "displayName": "${__field.labels.agent}"},
    )


def last_heard_of() -> p.Json:
    return p.table(
        "Last Heard Of",
        "When something was last heard of each coding agent. Good: recent for the agents that you use; one that is "
        "used and not heard of is not connected (`hypertool agents doctor` on the host).",
        targets=[p.instant(f"1000 * max by (agent, instance) ({LAST_SEEN} > 0)", "", table=True)],
        grid=(6, 0, 10, 7),
        unit="none",
        no_value="No coding agent was ever heard of",
        sort_by=("Last", "Agent", "Host"),
        units={"Last": "dateTimeFromNow"},
        widths={"Agent": 120, "Last": 130},
        transformations=[p.organized({"agent": "Agent", "instance": "Host", "Value": "Last"})],
    )


def not_understood() -> p.Json:
    found = total(count_in(UNRECOGNISED, RANGE), "agent", "reason")
    return p.horizontal_bars(
        "Records Not Understood",
        f"Records of agents in this time range that could not be read and so were not counted, by reason; the {TOP} "
        "most frequent. Good: none. Some after an update of an agent: its format has changed.",
        targets=[p.instant(f"topk({TOP}, {found} > 0)", "{{agent}}: {{reason}}")],
        grid=(16, 0, 8, 7),
        unit=WHOLE,
        no_value="No record was left uncounted",
        name="${__field.labels.agent}: ${__field.labels.reason}",
        steps=NONE_IS_GOOD,
        defaults={"min": 0, "max": MANY, "decimals": 0},
    )


def calls_over_time() -> p.Json:
    return p.bars_over_time(
        "Agent Calls",
        "Model calls of coding agents, each counted once. Good: calls where an agent worked, and quiet in between.",
        targets=[p.over_time(f"{total(count_in(CALLS, COLUMN), 'agent')} > 0", "{{agent}}")],
        grid=(0, 7, 12, 9),
        unit=WHOLE,
        no_value=NO_CALLS,
        legend=["sum", "max"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def tokens_by_kind() -> p.Json:
    return p.bars_over_time(
        "Agent Tokens by Kind",
        "Tokens of the agents' calls; each token is in one kind. Good: mostly cache_read, because agents send the same "
        "beginning again with every call.",
        targets=[p.over_time(f"{total(count_in(TOKENS, COLUMN), 'kind')} > 0", "{{kind}}")],
        grid=(12, 7, 12, 9),
        unit=WHOLE,
        no_value=NO_CALLS,
        overrides=[p.colored_series(f"/^{kind}$/", color) for kind, color in TOKEN_KINDS.items()],
        legend=["sum", "max"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def tokens_by_agent() -> p.Json:
    used = total(count_in(TOKENS, RANGE), "agent", "persona")
    return p.horizontal_bars(
        "Tokens by Agent and Persona",
        f"The {TOP} pairs that used most tokens in this time range. Good: each agent under the personas that you gave "
        "it; `unknown` means that none was named.",
        targets=[p.instant(f"topk({TOP}, {used} > 0)", "{{agent}} as {{persona}}")],
        grid=(0, 16, 24, 9),
        unit=WHOLE,
        no_value=NO_CALLS,
        name="${__field.labels.agent} as ${__field.labels.persona}",
        beside=True,
        steps=NEUTRAL,
        defaults={
            "min": 0,
            "decimals": 0,
            "links": [
                link_to("hypertool-llm-cost", "Cost and latency of this persona", persona="${__field.labels.persona}"),
                link_to("hypertool-persona-overview", "Budget of the personas"),
            ],
        },
    )


def blocked() -> p.Json:
    stopped = total(count_in(BLOCKED, RANGE), "agent", "persona")
    return p.horizontal_bars(
        "Stopped by a Budget",
        "How often an agent was stopped in this time range because nothing was left of a budget that blocks. Good: "
        "none in the time range.",
        targets=[p.instant(f"topk({TOP}, {stopped} > 0)", "{{agent}} as {{persona}}")],
        grid=(0, 25, 12, 9),
        unit=WHOLE,
        no_value="No agent was stopped by a budget",
        name="${__field.labels.agent} as ${__field.labels.persona}",
        steps=NONE_IS_GOOD,
        defaults={"min": 0, "max": MANY, "decimals": 0},
    )


def sources() -> p.Json:
    return p.horizontal_bars(
        "Where Calls Were Found",
        "Which source told of a call first: the agent's session file, OTLP, or the gateway. Good: session_file, which "
        "is exact and complete.",
        targets=[p.instant(f"{total(count_in(CALLS, RANGE), 'agent', 'source')} > 0", "{{agent}}: {{source}}")],
        grid=(12, 25, 12, 9),
        unit=WHOLE,
        no_value=NO_CALLS,
        name="${__field.labels.agent}: ${__field.labels.source}",
        beside=True,
        steps=NEUTRAL,
        defaults={"min": 0, "decimals": 0},
    )
