# One HTTPS request to a destination, directly or through a proxy, with the exact reason when there is no answer.
from __future__ import annotations

import base64
import errno
import http.client
import re
import socket
import ssl
import time
from urllib.parse import urlsplit

USER_AGENT = "hypertool"
# From <openssl/x509_vfy.h>; Python passes these numbers on.
NOT_YET_VALID, EXPIRED, HOST_MISMATCH, ADDRESS_MISMATCH = 9, 10, 62, 64
ANSWER_BYTES = 1024 * 1024
TIMED_OUT = (TimeoutError, socket.timeout)  # different classes before Python 3.10


class NoAnswer(Exception):
    """`where` is proxy or destination, `kind` one of the words below; the text describes the failure.

    dns, refused, unreachable, connect_timeout, read_timeout, closed; for the destination also tls_ca, tls_host,
    tls_expired, tls_early, tls; for the proxy also auth (407) and status (another refusal).
    """

    def __init__(self, where, kind, text):
        super().__init__(text)
        self.where = where
        self.kind = kind


class Answer:
    """Status, headers with lower-case names, and the first part of the body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def html(self):
        """Whether the body is HTML, which none of these services sends."""
        return "text/html" in self.headers.get("content-type", "") or self.text.lstrip()[:1] == "<"

    def excerpt(self, secrets, length=160):
        """The start of the body on one line, with all `secrets` removed."""
        return without(" ".join(re.sub(r"[^\x20-\x7e]+", " ", self.text).split()), secrets)[:length]


def without(text, secrets):
    """The text with each secret, in plain and encoded form, replaced by asterisks."""
    for secret in secrets:
        if secret and secret.strip():
            text = text.replace(secret, "********").replace(secret.strip(), "********")
    return text


def basic(user, token):
    """The value of a basic Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


class Route:
    """The route to the destinations: the CA to trust instead of the system's, and the proxy.

    HTTP_PROXY and similar variables are ignored, as the collectors ignore them. Raises ValueError for an unusable CA.
    """

    def __init__(self, ca_file="", ca_content="", proxy_url="", timeout=10.0):
        self.timeout = timeout
        self.proxy = urlsplit(proxy_url) if proxy_url else None
        try:
            self.context = ssl.create_default_context(cafile=ca_file or None, cadata=ca_content or None)
        except OSError as error:  # includes SSLError
            raise ValueError(getattr(error, "reason", None) or error.strerror or str(error)) from error

    def send(self, method, url, headers, body=b""):
        """The answer of the server at `url`; raises NoAnswer. Redirects are returned, not followed."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        connection = http.client.HTTPConnection(host, port)
        try:
            sock = self._reach(host, port)
            if parts.scheme == "https":
                sock = self._secure(sock, host)
            connection.sock = sock
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            try:
                connection.request(method, path, body or None, {"User-Agent": USER_AGENT, **headers})
                response = connection.getresponse()
                read = response.read(ANSWER_BYTES)
            except TIMED_OUT as error:
                raise NoAnswer(
                    "destination",
                    "read_timeout",
                    f"{host}:{port} took the request and said nothing for {self.timeout:g} s",
                ) from error
            except (OSError, http.client.HTTPException) as error:
                raise NoAnswer(
                    "destination", "closed", f"{host}:{port} ended the connection without an answer ({said(error)})"
                ) from error
            return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, read)
        finally:
            connection.close()

    def _reach(self, host, port):
        if self.proxy is None:
            return self._connect("destination", host, port)
        sock = self._connect("proxy", self.proxy.hostname or "", self.proxy.port or 80)
        try:
            self._tunnel(sock, host, port)
        except BaseException:
            sock.close()
            raise
        return sock

    def _connect(self, where, host, port):
        try:
            return socket.create_connection((host, port), timeout=self.timeout)
        except socket.gaierror as error:
            raise NoAnswer(where, "dns", f"the name {host} does not resolve ({said(error)})") from error
        except TIMED_OUT as error:
            within = f"no connection to {host}:{port} within {self.timeout:g} s"
            raise NoAnswer(where, "connect_timeout", within) from error
        except ConnectionRefusedError as error:
            raise NoAnswer(where, "refused", f"{host}:{port} refuses connections") from error
        except OSError as error:
            raise NoAnswer(where, "unreachable", f"{host}:{port} cannot be reached ({said(error)})") from error

    def _tunnel(self, sock, host, port):
        name = f"{self.proxy.hostname}:{self.proxy.port or 80}"
        lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}", f"User-Agent: {USER_AGENT}"]
        try:
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            response = http.client.HTTPResponse(sock, method="CONNECT")
            response.begin()
        except TIMED_OUT as error:
            raise NoAnswer("proxy", "read_timeout", f"the proxy {name} said nothing for {self.timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer("proxy", "closed", f"the proxy {name} ended the connection ({said(error)})") from error
        if response.status == 407:
            raise NoAnswer("proxy", "auth", f"the proxy {name} wants a credential (407)")
        if response.status != 200:
            raise NoAnswer(
                "proxy",
                "status",
                f"the proxy {name} does not connect to {host}:{port}: it says {response.status} {response.reason}",
            )

    def _secure(self, sock, host):
        try:
            return self.context.wrap_socket(sock, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise certificate_failure(host, error) from error
        except TIMED_OUT as error:
            sock.close()
            raise NoAnswer(
                "destination",
                "read_timeout",
                f"{host} took the connection and then said nothing for {self.timeout:g} s, not even a TLS greeting",
            ) from error
        except OSError as error:
            sock.close()
            if isinstance(error, ssl.SSLError):
                strange = f"{host} does not speak TLS as expected ({said(error)})"
                raise NoAnswer("destination", "tls", strange) from error
            raise NoAnswer(
                "destination", "closed", f"{host} ended the connection during the TLS greeting ({said(error)})"
            ) from error


def certificate_failure(host, error):
    """What is wrong with the server's certificate."""
    if error.verify_code in (HOST_MISMATCH, ADDRESS_MISMATCH):
        return NoAnswer("destination", "tls_host", f"the certificate shown for {host} is for another name")
    clock = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    if error.verify_code == EXPIRED:
        return NoAnswer(
            "destination", "tls_expired", f"the certificate of {host} has expired (by the clock of this host, {clock})"
        )
    if error.verify_code == NOT_YET_VALID:
        return NoAnswer(
            "destination",
            "tls_early",
            f"the certificate of {host} is not valid yet (by the clock of this host, {clock})",
        )
    return NoAnswer(
        "destination",
        "tls_ca",
        f"the certificate of {host} is not signed by an authority that this host trusts ({error.verify_message})",
    )


def said(error):
    """The text of an error, shortened."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        name = errno.errorcode.get(error.errno or 0, "")
        return f"{error.strerror}, {name}" if name else error.strerror
    return str(error) or type(error).__name__
