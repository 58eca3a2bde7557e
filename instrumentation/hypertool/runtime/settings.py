"""Every variable of ours that the package reads, in one table; docs/settings.md is generated from it.

`read` looks at the environment on each call; code on a hot path caches the value itself.
"""

from __future__ import annotations

import os

from .light_typing import NamedTuple


class Setting(NamedTuple):
    """One environment variable: its name, what it means, and the default, in words."""

    name: str
    meaning: str
    default: str

    def read(self) -> str:
        """The value without surrounding blanks; empty if the variable is not set."""
        return os.environ.get(self.name, "").strip()

    def on(self) -> bool:
        """Whether the switch is on, that is, exactly `1`."""
        return os.environ.get(self.name) == "1"


def _provider(name: str, address: str) -> Setting:
    return Setting(
        f"HYPERTOOL_GATEWAY_{name.upper()}", f"Where the gateway sends requests to `/{name}`", f"`{address}`"
    )


STATE_DIR = Setting(
    "HYPERTOOL_STATE_DIR",
    "The directory of the store: snapshots, archive, budgets, and the current personas of its user",
    "`/var/lib/hypertool` where the user may write it, else `$XDG_STATE_HOME/hypertool`",
)
CONFIG = Setting(
    "HYPERTOOL_CONFIG",
    "The file with personas, budgets and workflows; replaces the host's and the user's file, and must exist",
    "`/etc/hypertool/hypertool.toml`, then `$XDG_CONFIG_HOME/hypertool/hypertool.toml`",
)
LISTEN = Setting("HYPERTOOL_LISTEN", "Address and port of the metrics endpoint", "`127.0.0.1:9464`")
ALERT_LOG_LISTEN = Setting("HYPERTOOL_ALERT_LOG_LISTEN", "Address and port of the alert log", "`127.0.0.1:9465`")
ALERT_LOG_SENDERS = Setting(
    "HYPERTOOL_ALERT_LOG_SENDERS",
    "Users, names or ids separated by commas, whose processes may send to the alert log beside root and its own; "
    "`*` for anybody",
    "`prometheus,alertmanager`",
)
ALLOWED_HOSTS = Setting(
    "HYPERTOOL_ALLOWED_HOSTS",
    "Further names, separated by commas, under which clients may address the services (the `Host` header)",
    "`localhost`, this machine's name and IP addresses",
)
DISABLED = Setting(
    "HYPERTOOL_DISABLED", "`1` makes every wrapper a pass-through: nothing is recorded, sent or blocked", "off"
)
PRICES = Setting("HYPERTOOL_PRICES", "A TOML file with prices of your own, over the shipped table", "none")
DEBUG = Setting("HYPERTOOL_DEBUG", "`1` shows the traceback of an internal error of the command line", "off")

PERSONA = Setting(
    "HYPERTOOL_PERSONA", "The persona of a coding agent's session; `hypertool run --persona` sets it", "the workspace's"
)
CHATMODE = Setting(
    "HYPERTOOL_CHATMODE", "The chatmode of a coding agent's session; `hypertool run --chatmode` sets it", "`default`"
)
WORKFLOW = Setting(
    "HYPERTOOL_WORKFLOW",
    "The workflow of a coding agent's session; `hypertool run --workflow` sets it",
    "`agent_session`",
)
RUN_ID = Setting(
    "HYPERTOOL_RUN_ID",
    "The run that a command belongs to; `hypertool workflow run` sets it for agents and gates",
    "none",
)
TRACES_ENDPOINT = Setting(
    "HYPERTOOL_TRACES_ENDPOINT",
    "Where spans go if no `OTEL_EXPORTER_OTLP_*` endpoint is set (agents take those out of their shells), with the "
    "path; `hypertool run` sets it",
    "none",
)

GRAFANA_URL = Setting("GRAFANA_URL", "The Grafana that `hypertool grafana` puts dashboards and rules into", "none")
GRAFANA_TOKEN = Setting("GRAFANA_TOKEN", "The token of a service account there, of the role Editor", "`--token-file`")
RULER_URL = Setting(
    "GRAFANA_RULER_URL", "The Mimir that takes the rules: `https://HOST/api/prom` or `https://HOST/prometheus`", "none"
)
RULER_USER = Setting("GRAFANA_RULER_USER", "The user (instance id) of that Mimir", "none")
RULER_TENANT = Setting(
    "GRAFANA_RULER_TENANT", "The tenant of a Mimir with many, sent as `X-Scope-OrgID` beside user and token", "none"
)
RULER_TOKEN = Setting(
    "GRAFANA_RULER_TOKEN", "Its token, with the scopes rules:read and rules:write", "`--ruler-token-file`"
)
GATEWAY_LISTEN = Setting("HYPERTOOL_GATEWAY_LISTEN", "Address and port of the gateway, on loopback", "`127.0.0.1:9466`")
GATEWAY_ANTHROPIC = _provider("anthropic", "https://api.anthropic.com")
GATEWAY_OPENAI = _provider("openai", "https://api.openai.com")
GATEWAY_GEMINI = _provider("gemini", "https://generativelanguage.googleapis.com")

ALL = (
    STATE_DIR,
    CONFIG,
    LISTEN,
    ALERT_LOG_LISTEN,
    ALERT_LOG_SENDERS,
    ALLOWED_HOSTS,
    DISABLED,
    PRICES,
    DEBUG,
    PERSONA,
    CHATMODE,
    WORKFLOW,
    RUN_ID,
    TRACES_ENDPOINT,
    GRAFANA_URL,
    GRAFANA_TOKEN,
    RULER_URL,
    RULER_USER,
    RULER_TENANT,
    RULER_TOKEN,
    GATEWAY_LISTEN,
    GATEWAY_ANTHROPIC,
    GATEWAY_OPENAI,
    GATEWAY_GEMINI,
)

LISTEN_DEFAULT = "127.0.0.1:9464"
ALERT_LOG_LISTEN_DEFAULT = "127.0.0.1:9465"
GATEWAY_LISTEN_DEFAULT = "127.0.0.1:9466"
ALERT_LOG_SENDERS_DEFAULT = "prometheus,alertmanager"


def disabled() -> bool:
    """HYPERTOOL_DISABLED=1: everything is passed through, and nothing is published."""
    return DISABLED.on()
