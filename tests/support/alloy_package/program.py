#!/usr/bin/python3
"""A DOUBLE of Grafana Alloy: its command line and HTTP surface, for tests of what installs and configures it.

It proves nothing about pipelines: it collects nothing and sends nothing. What it refuses, and in which way, follows the
real one: syntax, unknown components and duplicates at `validate` and at a reload; a secret that is not there only at a
reload (400); two receivers on one port only by a component that has exited after a reload that was taken (200). A
directory given as a link without a slash at its end holds no configuration, as for the real one.
"""

import base64
import http.server
import json
import os
import re
import signal
import sys
import threading

VERSION = "@VERSION@"
# Enough of the real one's components for tests; everything else is unknown.
COMPONENT = re.compile(
    r"prometheus\.(scrape|remote_write|relabel|exporter\.\w+)|loki\.(write|process|relabel|source\.\w+)"
    r"|otelcol\.(receiver|processor|exporter|auth|connector)\.\w+|discovery\.\w+|local\.file"
)
PLAIN = {"logging", "tracing", "http", "declare", "livedebugging", "argument", "export", "remotecfg", "foreach"}
BLOCK = re.compile(r'^([a-z_][\w.]*)[ \t]*(?:"([^"]*)")?[ \t]*\{', re.MULTILINE)


class Refused(Exception):
    pass


def sources(path):
    if os.path.isfile(path):
        paths = [path]
    elif os.path.islink(path):
        paths = []
    else:
        paths = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".alloy"))
    found = {}
    for one in paths:
        with open(one, encoding="utf-8") as handle:
            found[one] = handle.read()
    return found


def skeleton(text):
    """The text without comments and without what is in strings."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)
    hidden = re.sub(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*', lambda m: m[1] or " " * len(m[0]), text)
    return hidden, re.sub(r'"(?:[^"\\\n]|\\.)*"', lambda m: '"' + " " * (len(m[0]) - 2) + '"', hidden)


def place(path, text, offset):
    before = text[:offset]
    return f"{path}:{before.count(chr(10)) + 1}:{offset - before.rfind(chr(10))}"


def parse(found):
    """Blocks by their id; Refused with file, line and reason."""
    blocks, problems = {}, []
    for path, text in found.items():
        code, bare = skeleton(text)
        depth = 0
        for offset, character in enumerate(bare):
            depth += {"{": 1, "}": -1}.get(character, 0)
            if depth < 0:
                problems.append(f"{place(path, text, offset)}: unexpected }}")
                break
        if depth > 0:
            problems.append(f"{place(path, text, len(text) - 1)}: expected }}, got EOF")
        for match in re.finditer(r"^[ \t]*\w+[ \t]*=[ \t]*$", bare, re.MULTILINE):
            problems.append(f"{place(path, text, match.start())}: expected expression, got newline")
        for match in BLOCK.finditer(code):
            name = f"{match[1]}.{match[2]}" if match[2] else match[1]
            where = place(path, text, match.start())
            if match[1] not in PLAIN and not COMPONENT.fullmatch(match[1]):
                problems.append(f'{where}: cannot find the definition of component name "{match[1]}"')
            elif name in blocks:
                problems.append(f"{where}: block {name} already declared at {blocks[name][0]}")
            else:
                end = code.find("\n}", match.start())
                blocks[name] = (where, code[match.start() : end])
    if problems:
        raise Refused("\n".join(f"Error: {problem}" for problem in problems))
    return blocks


def evaluate(expression):
    parts = re.findall(r'sys\.env\("(\w+)"\)|"([^"]*)"', expression)
    return "".join(os.environ.get(variable, "") if variable else text for variable, text in parts)


def build(blocks):
    """Health by component; Refused for what fails to be built."""
    health, taken = {}, {}
    for name, (where, body) in blocks.items():
        if "." not in name:
            continue
        health[name] = ("healthy", "started component")
        if name.startswith("local.file."):
            path = evaluate(re.search(r"filename\s*=\s*(.*)", body)[1])
            if not os.access(path, os.R_OK):
                raise Refused(f"Error: {where}: Failed to build component: open {path}: no such file or directory")
        if name.startswith("otelcol.receiver.otlp."):
            for expression in re.findall(r"endpoint\s*=\s*(.*)", body):
                address = evaluate(expression)
                if address in taken:
                    health[name] = ("exited", f"shut down: listen tcp {address}: bind: address already in use")
                taken[address] = name
    return health


def read_password():
    with open(os.environ["HYPERTOOL_ALLOY_WEB_PASSWORD_FILE"], encoding="utf-8") as handle:
        return handle.read().strip()


class Alloy:
    def __init__(self, path, data):
        self.path, self.data, self.health, self.loaded, self.password = path, data, {}, False, None

    def load(self):
        blocks = parse(sources(self.path))
        self.health = build(blocks)
        # As the real one: with the block `http`, every page asks for the password.
        self.password = read_password() if "http" in blocks else None
        self.loaded = True

    def admits(self, authorization):
        known = base64.b64encode(f"hypertool:{self.password}".encode()).decode()
        return self.password is None or authorization == f"Basic {known}"

    def metrics(self):
        lines = [f'alloy_build_info{{version="v{VERSION}",double="true"}} 1']
        # What a test wants it to say, for example that something is waiting.
        extra = os.path.join(self.data, "double.prom")
        if os.path.exists(extra):
            with open(extra, encoding="utf-8") as handle:
                lines.append(handle.read().strip())
        return "\n".join(lines) + "\n"

    def components(self):
        return [
            {"localID": name, "health": {"state": state, "message": message, "updatedTime": ""}}
            for name, (state, message) in self.health.items()
        ]


def handler_for(alloy):
    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, status, body):
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            unhealthy = [name for name, (state, _) in alloy.health.items() if state == "unhealthy"]
            if not alloy.admits(self.headers["Authorization"]):
                self.answer(401, "")
            elif self.path == "/-/reload":
                self.reload()
            elif self.path == "/-/ready":
                self.answer(200 if alloy.loaded else 503, "Alloy is ready.\n" if alloy.loaded else "not ready\n")
            elif self.path == "/-/healthy":
                self.answer(500 if unhealthy else 200, f"unhealthy components: {unhealthy}\n" if unhealthy else "ok\n")
            elif self.path == "/metrics":
                self.answer(200, alloy.metrics())
            elif self.path == "/api/v0/web/components":
                self.answer(200, json.dumps(alloy.components()))
            elif self.path.startswith("/api/v0/web/components/"):
                named = [one for one in alloy.components() if one["localID"] == self.path.rsplit("/", 1)[1]]
                self.answer(200 if named else 404, json.dumps(named[0] if named else {}))
            else:
                self.answer(404, "404 page not found\n")

        do_POST = do_GET

        def reload(self):
            try:
                alloy.load()
            except (Refused, OSError) as error:
                self.answer(400, f"{error}\n")
            else:
                self.answer(200, "config reloaded\n")

        def log_message(self, *_):
            pass

    return Handler


def run(arguments):
    values = dict(one[2:].partition("=")[::2] for one in arguments if one.startswith("--"))
    alloy = Alloy(arguments[-1], values["storage.path"])
    host, _, port = values["server.http.listen-addr"].rpartition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), handler_for(alloy))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        alloy.load()
    except Refused as error:
        print(f"{error}\nError: could not perform the initial load successfully", file=sys.stderr, flush=True)
        return 1
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGHUP, lambda *_: None)
    ended.wait()
    return 0


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command == "--version":
        print(f"alloy, version v{VERSION} (a double for tests, not Grafana Alloy)")
        return 0
    if command == "run":
        return run(sys.argv[2:])
    if command == "validate":
        try:
            parse(sources(sys.argv[-1]))
        except (Refused, OSError) as error:
            print(f"{error}\nError: validation failed", file=sys.stderr)
            return 1
        return 0
    if command == "fmt":
        with open(sys.argv[-1], encoding="utf-8") as handle:
            return int(re.search(r"^ +\S", handle.read(), re.MULTILINE) is not None)
    print("usage: alloy run|validate|fmt", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
