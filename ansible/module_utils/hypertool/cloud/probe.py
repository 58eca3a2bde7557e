# Sends each service an empty request and explains the answer in plain sentences.
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.hypertool.cloud.connection import NoAnswer, basic
from ansible.module_utils.hypertool.cloud.values import PROXY_WITHOUT_CREDENTIAL, SERVICES, variable

SCOPES = {"metrics": "metrics:write", "logs": "logs:write", "otlp": "traces:write"}
_JSON = {"Content-Type": "application/json"}
# Requests that store nothing. Mimir accepts an empty write; Loki rejects an empty push (422), but only after checking
# the credential; an OTLP receiver accepts an empty export. b"\0" is the snappy encoding of an empty body.
REQUESTS = {
    "metrics": (
        "",
        {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        },
        b"\0",
    ),
    "logs": ("", _JSON, b'{"streams": []}'),
    "otlp": ("/v1/traces", _JSON, b'{"resourceSpans": []}'),
}
# Statuses that accept the credential, but not the content or the time.
AUTHENTICATED = (400, 422, 429)


def accepted(answer):
    """Whether an answer shows that the credential is valid."""
    return not answer.html and (answer.status < 300 or answer.status in AUTHENTICATED)


class Probe:
    """Services by name with `url` and `user`; `results` has the answer of each, or the reason without one."""

    def __init__(self, route, services, token):
        self.route = route
        self.services = services
        self.token = token
        self.results = {}
        #: Secrets that a server may echo; removed from messages.
        self.secrets = [token, *(basic(service["user"], token).split()[1] for service in services.values())]

    def ask(self, service, user):
        """The answer to a request with this id (None: without a credential), or a NoAnswer."""
        path, headers, body = REQUESTS[service]
        if user:
            headers = {**headers, "Authorization": basic(user, self.token)}
        try:
            return self.route.send("POST", self.services[service]["url"] + path, headers, body)
        except NoAnswer as failure:
            return failure

    def run(self, without_credential=()):
        """Query all services at once. Those in `without_credential` are only checked for reachability."""
        with ThreadPoolExecutor(max_workers=len(self.services)) as pool:
            asked = {
                name: pool.submit(self.ask, name, None if name in without_credential else service["user"])
                for name, service in self.services.items()
            }
            self.results = {name: answer.result() for name, answer in asked.items()}

    def problems(self, without_credential=()):
        """One sentence per problem, each naming the variable."""
        found = []
        refused = []
        for service, result in self.results.items():
            if isinstance(result, NoAnswer):
                found.append(self.unreachable(service, result))
            elif service in without_credential and result.status in (401, 403):
                continue  # The service is reachable; nothing else was requested.
            elif result.status == 401 and not result.html and not names_scope(result):
                refused.append(service)
            elif not accepted(result):
                found.append(self.unexpected(service, result))
        return list(dict.fromkeys(found + self.refusals(refused)))

    # No answer

    def unreachable(self, service, failure):
        """A sentence about a destination or proxy that cannot be reached."""
        if failure.where == "proxy" and failure.kind != "status":
            return f"grafana_cloud_proxy_url: {failure}; {PROXY_ADVICE[failure.kind]}"
        name = "grafana_cloud_ca_file" if failure.kind == "tls_ca" else variable(service, "url")
        direct = "" if self.route.proxy is None else " through the proxy"
        return f"{name}: no answer from {service}{direct}: {failure}; {ADVICE[failure.kind]}"

    # An answer that does not come from the service

    def unexpected(self, service, answer):
        """A sentence about a status or body that the service does not send for a valid credential."""
        name, url = variable(service, "url"), self.services[service]["url"]
        says = f"{service} at {url} answers {answer.status}"
        words = answer.excerpt(self.secrets)
        quoted = f" ({words})" if words else ""
        if answer.html or 300 <= answer.status < 400:
            towards = f" and points to {answer.headers['location'][:100]}" if "location" in answer.headers else ""
            return (
                f"{name}: {says} with a page for people{towards}; expected what a service says: something in "
                "between answers (a captive portal, a filtering proxy), or this is the address of a web page: log "
                f"on to the network, set grafana_cloud_proxy_url, or take an address like {SERVICES[service][1]}"
            )
        if answer.status == 403 or names_scope(answer):
            return (
                f"grafana_cloud_token: {says}{quoted}: the token is known but may not do this; expected an access "
                f"policy with the scope {SCOPES[service]} whose allowed networks include this host: add the scope "
                "in Grafana Cloud under Access Policies (the token stays the same)"
            )
        if answer.status in (404, 405):
            return (
                f"{name}: {says}{quoted}: nothing takes data at this path; expected an address like "
                f"{SERVICES[service][1]}"
            )
        if answer.status >= 500:
            return (
                f"{name}: {says}{quoted}; expected an answer to the credential: the destination is down at this "
                "moment, so it could not be checked: look at its status page and run the play again"
            )
        return (
            f"{name}: {says}{quoted}, which is no answer of this service; expected an address like "
            f"{SERVICES[service][1]}"
        )

    # 401

    def refusals(self, services):
        """Sentences about refused credentials: whether the id or the token is wrong."""
        works = [name for name, result in self.results.items() if not isinstance(result, NoAnswer) and accepted(result)]
        found, unexplained = [], []
        for service in services:
            reason = self.wrong_user(service, works)
            if reason:
                found.append(reason)
            else:
                unexplained.append(service)
        if unexplained:
            words = self.results[unexplained[0]].excerpt(self.secrets)
            found.append(
                f"grafana_cloud_token: {', '.join(unexplained)} {'answer' if len(unexplained) > 1 else 'answers'} 401 "
                f"({words or 'without a word'}), and no other id that is set here is accepted with it; expected a "
                "token that is valid now for the stack of these addresses: it is mistyped, expired, revoked, or of "
                "another stack; make a new one in Grafana Cloud under Access Policies and set grafana_cloud_token"
            )
        return found

    def wrong_user(self, service, works):
        """A sentence if the token is valid and the id is wrong, else empty."""
        name, user = variable(service, "user"), self.services[service]["user"]
        expected = f"expected the id that Grafana Cloud shows under {SERVICES[service][2]}"
        for other, settings in self.services.items():
            if settings["user"] != user:
                answer = self.ask(service, settings["user"])
                if not isinstance(answer, NoAnswer) and accepted(answer):
                    return (
                        f"{name} is {user}, which {service} refuses (401), while it accepts {settings['user']}, "
                        f"the value of {variable(other, 'user')}; {expected}: they are swapped or mixed up"
                    )
        twin = next((other for other in works if self.services[other]["user"] == user), None)
        if twin:
            return (
                f"{name} is {user}, which is the id for {twin} (there the token is accepted), and {service} "
                f"refuses it (401); {expected}: each service has an id of its own"
            )
        if works:
            return (
                f"{name} is {user}, which {service} refuses (401), while the same token is accepted for "
                f"{' and '.join(works)}; {expected}"
            )
        return ""


def names_scope(answer):
    """Whether the answer names a missing scope: Grafana Cloud's gateway sends 401 to a token with other scopes."""
    return answer.status in (401, 403) and "scope" in answer.text.lower()


ADVICE = {
    "dns": "expected a name that the resolver of this host knows: check the spelling, /etc/resolv.conf and the "
    "network, or set grafana_cloud_proxy_url where only a proxy knows outside names",
    "refused": "expected a service there: check host and port, and whether a firewall refuses for it",
    "unreachable": "expected a route there: check the network of this host, or set grafana_cloud_proxy_url",
    "connect_timeout": "expected a connection: a firewall drops the packets, or the address is wrong; allow outgoing "
    "HTTPS, or set grafana_cloud_proxy_url",
    "read_timeout": "expected an answer: something in between swallows it, or the destination is overloaded; try "
    "again, then look at firewalls and proxies",
    "closed": "expected an answer: something in between cuts the connection; look at firewalls and proxies",
    "tls_ca": "expected a certificate of a known authority: where a proxy opens TLS, or the destination is your own, "
    "set grafana_cloud_ca_file to the PEM file of that authority; else install the package ca-certificates",
    "tls_host": "expected the name in the address: write the address with the name that the certificate is for; if it "
    "is right, something in between answers in its place",
    "tls_expired": "expected a valid one: set the clock of this host, or have the certificate renewed",
    "tls_early": "expected a valid one: set the clock of this host",
    "tls": "expected HTTPS: check the port, and whether something in between answers in its place",
    "status": "expected the proxy to connect: check the address, and whether the proxy allows it",
}
PROXY_ADVICE = {
    "dns": "expected a name that this host resolves: check the spelling",
    "refused": "expected a proxy there: check host and port, and that it runs",
    "unreachable": "expected a route to it: check the network of this host",
    "connect_timeout": "expected a connection: check host, port and firewalls",
    "read_timeout": "expected an answer to CONNECT: check that it is an HTTP proxy",
    "closed": "expected an answer to CONNECT: check that it is an HTTP proxy, without TLS",
    "auth": "expected it to let this host through without one: " + PROXY_WITHOUT_CREDENTIAL,
}
