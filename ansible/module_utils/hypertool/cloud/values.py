# Finds problems with destination, credential and proxy from the values alone, without a request.
from __future__ import annotations

import re
from urllib.parse import urlsplit

#: By service: the end of its address, an example, and where Grafana Cloud shows it.
SERVICES = {
    "metrics": ("/push", "https://prometheus-prod-XX.grafana.net/api/prom/push", "Prometheus"),
    "logs": ("/loki/api/v1/push", "https://logs-prod-XX.grafana.net/loki/api/v1/push", "Loki"),
    "otlp": ("", "https://otlp-gateway-prod-XX.grafana.net/otlp", "OpenTelemetry"),
    "traces": ("/tempo", "https://tempo-prod-XX.grafana.net/tempo", "Tempo"),
}
_MARKS = {"logs": "/loki/", "metrics": "/api/prom/", "otlp": "/otlp/"}
_SIGNALS = re.compile(r"/v1/(traces|metrics|logs)$")
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"


def variable(service, what):
    """The variable's name, as users set it."""
    return f"grafana_cloud_{service}_{what}"


def how_to_set(name):
    """Where to find a value."""
    return f"set {name}, or {name.upper()} in the environment of the controller"


def blemish_of(name, value, expected):
    """The sentence about a value that is missing, or was copied with more than itself; empty for a clean one."""
    if not value:
        return f"{name} is empty; {expected}: {how_to_set(name)}"
    dirt = dirt_in(value)
    return f"{name} has {dirt}; {expected}: take it out" if dirt else ""


def problems_of_url(service, url):
    """Sentences about the address of a service; empty if it is well-formed."""
    name = variable(service, "url")
    ending, example, tile = SERVICES[service]
    expected = f"expected the address that Grafana Cloud shows under {tile}, like {example}"
    blemish = blemish_of(name, url, expected)
    if blemish:
        return [blemish]
    try:
        parts = urlsplit(url)
        shown, host, credential = parts.scheme, parts.hostname, parts.username is not None
        parts.port  # noqa: B018 - raises for an invalid port
    except ValueError as error:
        return [f"{name} is not an address ({error}); {expected}"]
    if credential:
        return [
            f"{name} has a credential in it; {expected}: move id and token to {variable(service, 'user')} and "
            "grafana_cloud_token, since an address ends up in logs"
        ]
    if "://" not in url or not host:
        return [f"{name} is {url!r}, which has no scheme or no host; {expected}: write it with https:// in front"]
    if shown != "https":
        return [f"{name} begins with {shown}://, which would send the token in the clear; {expected}"]
    if parts.query or parts.fragment:
        return [f"{name} is {url!r}, with something after the path; {expected}: cut it at the ? or #"]
    return problems_of_path(service, url, parts, ending, expected)


def problems_of_path(service, url, parts, ending, expected):
    """Sentences about the path, which is often copied wrongly."""
    name, path = variable(service, "url"), parts.path
    other = next((kind for kind, mark in _MARKS.items() if mark in f"{path}/"), None)
    if other not in (None, service):
        return [f"{name} is {url!r}, which looks like the address for {other}; {expected}"]
    if service == "otlp":
        signal = _SIGNALS.search(path)
        if signal:
            return [f"{name} ends in {signal.group(0)}, which collectors add themselves; {expected}: cut it off"]
        if path.endswith("/") or (parts.hostname.endswith(".grafana.net") and path != "/otlp"):
            return [f"{name} has the path {path!r} instead of /otlp; {expected}"]
    elif not path.endswith(ending) or (service == "metrics" and path == ending):
        return [
            f"{name} has the path {path!r}, which does not end in "
            f"{'/api/prom/push' if service == 'metrics' else ending}; {expected}: add what is missing"
        ]
    return []


def problems_of_user(service, user):
    """Sentences about the id that belongs to a service."""
    name = variable(service, "user")
    expected = f"expected the number that Grafana Cloud shows under {SERVICES[service][2]} (User, or Instance ID)"
    blemish = blemish_of(name, user, expected)
    if blemish:
        return [blemish]
    if user.startswith("glc_") or len(user) > 40:
        return [f"{name} looks like a token; {expected}: the token belongs into grafana_cloud_token"]
    if not (user.isascii() and user.isdigit()):
        return [f"{name} is {user!r}, which is no number; {expected}"]
    return []


def problems_of_token(token):
    """Sentences about the token; none of them quotes it."""
    name = "grafana_cloud_token"
    expected = "expected the access policy token as Grafana Cloud showed it once (it begins with glc_)"
    if not token:
        return [f"{name} is empty; {expected}: {how_to_set(name)}"]
    dirt = dirt_in(token)
    if dirt:
        return [f"{name} ({len(token)} characters) has {dirt}; {expected}: take it out"]
    if token.startswith(("$", "{", "<")):
        return [f"{name} begins with {token[0]!r}, so it is a placeholder that nobody filled in; {expected}"]
    if re.match(r"\d+:", token):
        return [f"{name} has the form id:token; {expected}: the ids belong into grafana_cloud_metrics_user and so on"]
    return []


PROXY_WITHOUT_CREDENTIAL = (
    "let the proxy admit this host by its address, or name a proxy on this host that adds the credential"
)


def problems_of_proxy(url):
    """Sentences about the proxy's address; a credential in it is refused, and not repeated.

    The collectors read the address from their environment or configuration, where a credential would be
    readable outside the protected token file.
    """
    name = "grafana_cloud_proxy_url"
    expected = "expected http://HOST:PORT"
    if not url:
        return []
    dirt = dirt_in(url)
    if dirt:
        return [f"{name} has {dirt}; {expected}: take it out"]
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for an invalid port
    except ValueError:
        return [f"{name} is not an address; {expected}"]
    if parts.scheme != "http" or not parts.hostname:
        return [f"{name} begins with {url.partition('://')[0] + '://' if '://' in url else 'no scheme'}; {expected}"]
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return [f"{name} has something after host and port; {expected}"]
    if "@" in parts.netloc:
        return [
            f"{name} has a credential in it; {expected}: a collector would keep it where others read it, so "
            f"{PROXY_WITHOUT_CREDENTIAL}"
        ]
    return []


def dirt_in(value):
    """Characters that do not belong in an address, an id or a token, and their place; empty without any."""
    for place, character in enumerate(value, start=1):
        kind = kind_of(character)
        if kind:
            return f"{kind} at position {place} of {len(value)}"
    return ""


def kind_of(character):
    """The kind of an unexpected character; empty for an allowed one."""
    if character in "\r\n":
        return "a line break"
    if character.isspace():
        return "a space or tab"
    if character in _QUOTES:
        return "a quotation mark"
    if not character.isascii() or not character.isprintable():
        return "a character that is not printable ASCII"
    return ""
