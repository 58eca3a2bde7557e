"""The providers' base URLs, from the settings."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import ConfigError
from ..runtime.settings import GATEWAY_ANTHROPIC, GATEWAY_GEMINI, GATEWAY_OPENAI, Setting

_SETTINGS = {"anthropic": GATEWAY_ANTHROPIC, "openai": GATEWAY_OPENAI, "gemini": GATEWAY_GEMINI}
DEFAULTS = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com",
    "gemini": "https://generativelanguage.googleapis.com",
}


class Upstream(NamedTuple):
    """Where a provider's requests go: the base URL without a slash at its end, and the proxy, if any."""

    base: str
    proxy: str | None


def upstreams() -> dict[str, Upstream]:
    """Every provider's upstream. Raises ConfigError that names the variable and the value."""
    return {provider: _upstream(setting, DEFAULTS[provider]) for provider, setting in _SETTINGS.items()}


def _upstream(setting: Setting, default: str) -> Upstream:
    given = (setting.read() or default).rstrip("/")
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    odd = re.search(r"[^!-~]", given) or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in ("http", "https") or not host or odd:
        shown = given.rpartition("@")[2]  # no password in a message
        raise ConfigError(
            f"{setting.name}={shown!r:.80}: expected an http or https URL without user, query and fragment, such as "
            f"{default}"
        )
    return Upstream(given, None if proxy_bypass(host) else getproxies().get(parts.scheme))
