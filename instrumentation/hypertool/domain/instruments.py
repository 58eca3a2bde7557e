"""Every metric: name, type, help, labels and buckets, in one table; everything else is checked against it.

Units are in the names, after the Prometheus naming conventions. Values are kept as integers (tokens, events,
microseconds, nano-dollars) until they are exposed, so that merging processes is exact and nothing decreases.
"""

from __future__ import annotations

from ..runtime.light_typing import NamedTuple

DURATION_BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
PERSONA_BUCKETS = (0.1, *DURATION_BUCKETS)
# OpenTelemetry GenAI semantic conventions, gen_ai.client.operation.duration: 0.01 * 2^n seconds.
REQUEST_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_CHUNK_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Instrument(NamedTuple):
    """One metric. `key` is its short name in snapshots; `scale` turns stored integers into the exposed unit."""

    key: str
    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    scale: int = 1


SWITCHES = Instrument(
    "sw",
    "hypertool_persona_switches_total",
    "counter",
    "Switches from one persona to another; the first of a run comes from persona none",
    ("from_persona", "to_persona", "chatmode"),
)
PERSONA_DURATION = Instrument(
    "pd",
    "hypertool_persona_duration_seconds",
    "histogram",
    "Time spent in a persona, with the chatmode of the session that ended",
    ("persona", "chatmode"),
    PERSONA_BUCKETS,
)
TOKENS = Instrument(
    "tok",
    "hypertool_persona_tokens_used_total",
    "counter",
    "Input plus output tokens as the provider reports them",
    ("persona", "chatmode", "model"),
)
BUDGET_REMAINING = Instrument(
    "rem",
    "hypertool_persona_token_budget_remaining",
    "gauge",
    "Tokens left in the current budget window; negative when overspent",
    ("persona",),
)
STAGE_DURATION = Instrument(
    "st",
    "hypertool_workflow_stage_duration_seconds",
    "histogram",
    "Duration of finished workflow stages",
    ("workflow", "stage", "persona"),
    DURATION_BUCKETS,
)
QUALITY_GATE = Instrument(
    "qg",
    "hypertool_workflow_quality_gate_total",
    "counter",
    "Quality gates by result: pass or fail",
    ("workflow", "stage", "result"),
)

BUILD_INFO = Instrument(
    "build",
    "hypertool_build_info",
    "gauge",
    "Version of the exporter that serves these metrics; always 1",
    ("version", "python_version"),
)
BUDGET_LIMIT = Instrument(
    "lim", "hypertool_persona_token_budget_limit", "gauge", "Tokens per budget window", ("persona",)
)
BUDGET_EXCEEDED = Instrument(
    "exc",
    "hypertool_persona_token_budget_exceeded_total",
    "counter",
    "Budget windows that were overspent, each counted once",
    ("persona",),
)
OLDEST_START = Instrument(
    "old",
    "hypertool_workflow_stage_oldest_start_timestamp_seconds",
    "gauge",
    "Start of the oldest stage in progress, seconds since the epoch; 0 when nothing is in progress",
    ("workflow", "stage"),
)
LLM_REQUESTS = Instrument(
    "llm",
    "hypertool_llm_requests_total",
    "counter",
    "LLM calls by outcome: success, error, cancelled or blocked",
    ("persona", "model", "outcome"),
)
LLM_DURATION = Instrument(
    "lld",
    "hypertool_llm_request_duration_seconds",
    "histogram",
    "Duration of LLM calls",
    ("persona", "model"),
    REQUEST_BUCKETS,
)
LLM_COST = Instrument(
    "usd",
    "hypertool_llm_cost_usd_total",
    "counter",
    "Cost of LLM calls whose model has a known price",
    ("persona", "model"),
    (),
    10**9,
)
LLM_TOKENS = Instrument(
    "ltk",
    "hypertool_llm_tokens_total",
    "counter",
    "Tokens of LLM calls by kind: input, cache_read, cache_write, output or reasoning; each token is in one kind",
    ("persona", "model", "kind"),
)
LLM_FIRST_CHUNK = Instrument(
    "ttf",
    "hypertool_llm_time_to_first_chunk_seconds",
    "histogram",
    "Time from the start of a streamed LLM call to its first chunk",
    ("persona", "model"),
    FIRST_CHUNK_BUCKETS,
)
LLM_USAGE_MISSING = Instrument(
    "miss",
    "hypertool_llm_usage_missing_total",
    "counter",
    "LLM calls whose usage is unknown, by reason",
    ("persona", "model", "reason"),
)
EXPORT_SPANS = Instrument(
    "exp",
    "hypertool_export_spans_total",
    "counter",
    "Spans handed to a configured sink, by outcome: success, failure or dropped",
    ("sink", "outcome"),
)
EXPORT_LAST_SUCCESS = Instrument(
    "ok",
    "hypertool_export_last_success_timestamp_seconds",
    "gauge",
    "Last successful export of a configured sink, seconds since the epoch; 0 until the first",
    ("sink",),
)
EXPORT_SCORES = Instrument(
    "sco",
    "hypertool_export_scores_total",
    "counter",
    "Verdicts of quality gates handed to a configured sink as scores, by outcome: success, failure or dropped",
    ("sink", "outcome"),
)
LABEL_OVERFLOW = Instrument(
    "of",
    "hypertool_label_overflow_total",
    "counter",
    "Recordings whose label value was beyond the limit and became other",
    ("label",),
)
STORE_UNREADABLE = Instrument(
    "unr", "hypertool_store_unreadable_files", "gauge", "Files of the store that cannot be read or understood", ()
)
STORE_WRITERS = Instrument(
    "wri", "hypertool_store_writers", "gauge", "Processes with a snapshot that is not folded into the archive", ()
)
STORE_FOLDED = Instrument(
    "fol", "hypertool_store_folded_processes_total", "counter", "Finished processes folded into the archive", ()
)
STORE_QUARANTINED = Instrument(
    "qua",
    "hypertool_store_quarantined_files",
    "gauge",
    "Files of the store that were refused, or set aside after they were",
    (),
)
STORE_LAST_FOLD = Instrument(
    "lfo",
    "hypertool_store_last_fold_timestamp_seconds",
    "gauge",
    "Last time that finished processes were looked for and folded, seconds since the epoch; 0 until the first",
    (),
)
DELIVERY_PROOF = Instrument(
    "dpr",
    "hypertool_delivery_proof_timestamp_seconds",
    "gauge",
    "Start of the delivery proof that looks for this sample at the destination, seconds since the epoch; absent when "
    "there is none",
    (),
)

AGENT_CALLS = Instrument(
    "ac",
    "hypertool_agent_calls_total",
    "counter",
    "Model calls of coding agents, each counted once, by the source that told of it first",
    ("agent", "persona", "source"),
)
AGENT_TOKENS = Instrument(
    "at",
    "hypertool_agent_tokens_total",
    "counter",
    "Tokens of coding agents' model calls by kind; the kinds are disjoint and their sum is what was used",
    ("agent", "persona", "kind"),
)
AGENT_BLOCKED = Instrument(
    "ab",
    "hypertool_agent_blocked_total",
    "counter",
    "Times that a coding agent was stopped because its persona's budget blocks and nothing was left",
    ("agent", "persona"),
)
AGENT_UNRECOGNISED = Instrument(
    "au",
    "hypertool_agent_unrecognised_total",
    "counter",
    "Records of coding agents that could not be understood, and so were not counted, by reason",
    ("agent", "reason"),
)
AGENT_SESSIONS = Instrument(
    "as",
    "hypertool_agent_sessions_active",
    "gauge",
    "Sessions of coding agents that have not ended and were heard of in the last 15 minutes",
    ("agent",),
)
AGENT_LAST_SEEN = Instrument(
    "al",
    "hypertool_agent_last_seen_timestamp_seconds",
    "gauge",
    "When something was last heard of a coding agent, seconds since the epoch; absent until the first time",
    ("agent",),
)

COUNTERS = (
    SWITCHES,
    TOKENS,
    QUALITY_GATE,
    BUDGET_EXCEEDED,
    LLM_REQUESTS,
    LLM_COST,
    LLM_TOKENS,
    LLM_USAGE_MISSING,
    EXPORT_SPANS,
    EXPORT_SCORES,
    AGENT_CALLS,
    AGENT_TOKENS,
    AGENT_BLOCKED,
    AGENT_UNRECOGNISED,
    LABEL_OVERFLOW,
    STORE_FOLDED,
)
HISTOGRAMS = (PERSONA_DURATION, STAGE_DURATION, LLM_DURATION, LLM_FIRST_CHUNK)
GAUGES = (
    BUDGET_REMAINING,
    BUDGET_LIMIT,
    OLDEST_START,
    EXPORT_LAST_SUCCESS,
    AGENT_SESSIONS,
    AGENT_LAST_SEEN,
    BUILD_INFO,
    STORE_UNREADABLE,
    STORE_QUARANTINED,
    STORE_LAST_FOLD,
    STORE_WRITERS,
    DELIVERY_PROOF,
)
ALL = COUNTERS + HISTOGRAMS + GAUGES
BY_KEY: dict[str, Instrument] = {instrument.key: instrument for instrument in ALL}

GATE_RESULTS = ("pass", "fail")
EXPORT_OUTCOMES = ("success", "failure", "dropped")
LLM_OUTCOMES = ("success", "error", "cancelled", "blocked")
# The order of `Usage`'s first five parts.
TOKEN_KINDS = ("input", "cache_read", "cache_write", "output", "reasoning")
USAGE_MISSING_REASONS = ("no_usage", "stream_cut", "invalid", "unrecognised")
AGENTS = (
    "claude-code",
    "codex",
    "gemini-cli",
    "copilot-cli",
    "cline",
    "auggie",
    "opencode",
    "qwen-code",
    "aider",
)
SINKS = ("langfuse", "otlp")
AGENT_SOURCES = ("session_file", "otlp", "gateway")
AGENT_UNRECOGNISED_REASONS = (
    "no_id",
    "no_usage",
    "inconsistent",
    "malformed",
    "no_subagent_usage",
    "too_large",
    "unreadable",
    "unknown_format",
)
