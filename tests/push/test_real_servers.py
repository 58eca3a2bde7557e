"""The promises against a real Grafana and a real Mimir, where GRAFANA_BIN and MIMIR_BIN say where they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.push.conftest import Command, Files
from tests.support.box import free_port, until

PASSWORD = "tests-only"
MIMIR = """\
multitenancy_enabled: true
usage_stats: {{enabled: false}}
server:
  {{http_listen_address: 127.0.0.1, http_listen_port: {port}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}}}
common: {{storage: {{backend: filesystem, filesystem: {{dir: {folder}/common}}}}}}
blocks_storage: {{storage_prefix: blocks, tsdb: {{dir: {folder}/tsdb}}, bucket_store: {{sync_dir: {folder}/sync}}}}
ingester: {{ring: {{replication_factor: 1, kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}}}}
distributor: {{ring: {{kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}}}}
compactor: {{data_dir: {folder}/compactor, sharding_ring: {{kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}}}}
store_gateway: {{sharding_ring: {{replication_factor: 1, kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}}}}
ruler:
  {{rule_path: {folder}/rules, poll_interval: 5s, ring: {{kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}}}}
alertmanager: {{data_dir: {folder}/alertmanager}}
ruler_storage: {{backend: filesystem, filesystem: {{dir: {folder}/rulestore}}}}
"""


def program(variable: str) -> Path:
    """The program that the environment names; else the test is skipped."""
    path = os.environ.get(variable) or shutil.which(variable.partition("_")[0].lower())
    if not path:
        pytest.skip(f"set {variable} to the program to run this against a real one")
    return Path(path).resolve()


def started(command: list[str], ready: Callable[[], bool], log: Path, env: dict[str, str]) -> Iterator[None]:
    """A server, as long as the generator is open."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=env) as process:
        try:
            until(f"{command[0]} to answer, see {log}", 180, lambda: process.poll() is not None or ready() or None)
            assert process.poll() is None, log.read_text()[-2000:]
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def mimir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Mimir."""
    path, folder, port = program("MIMIR_BIN"), tmp_path_factory.mktemp("mimir"), free_port()
    (folder / "mimir.yml").write_text(MIMIR.format(port=port, grpc=free_port(), folder=folder))
    command = [
        str(path),
        f"-config.file={folder}/mimir.yml",
        "-target=all",
        f"-activity-tracker.filepath={folder}/activity",
    ]
    command += ["-memberlist.bind-addr=127.0.0.1", f"-memberlist.bind-port={free_port()}"]
    command += ["-query-frontend.instance-addr=127.0.0.1", "-query-scheduler.ring.instance-addr=127.0.0.1"]
    url = f"http://127.0.0.1:{port}"
    for _ in started(command, lambda: answers(f"{url}/ready"), folder / "log", dict(os.environ)):
        yield f"{url}/prometheus"


class Grafana:
    """A running Grafana with a service account of each role."""

    def __init__(self, url: str) -> None:
        self.url, self._accounts = url, 0
        self._basic = "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """As the administrator."""
        headers = {"Authorization": self._basic, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def token(self, role: str) -> str:
        """A new token of that role."""
        self._accounts += 1
        account = self.ask("POST", "/api/serviceaccounts", {"name": f"tests-{self._accounts}", "role": role})
        return str(
            self.ask("POST", f"/api/serviceaccounts/{account['id']}/tokens", {"name": f"tests-{self._accounts}"})["key"]
        )

    def dashboard(self, uid: str) -> Any:
        """The dashboard as the browser gets it, None if there is none."""
        try:
            return self.ask("GET", f"/api/dashboards/uid/{uid}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def sees(self, token: str, uid: str) -> bool:
        """Whether that token may read the dashboard."""
        request = urllib.request.Request(
            f"{self.url}/api/dashboards/uid/{uid}", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False

    def save(self, uid: str, title: str, folder: str) -> None:
        """A save in the browser."""
        spec = (self.dashboard(uid) or {"dashboard": {"uid": uid, "panels": []}})["dashboard"]
        body = {"dashboard": {**spec, "title": title}, "folderUid": folder, "overwrite": True}
        self.ask("POST", "/api/dashboards/db", body)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mimir: str) -> Iterator[Grafana]:
    """A Grafana with that Mimir as the data source `mimir1`."""
    path, folder, port = program("GRAFANA_BIN"), tmp_path_factory.mktemp("grafana"), free_port()
    homes = [Path(os.environ.get("GRAFANA_HOME", path.parent)), *path.parents, Path("/usr/share/grafana")]
    home = next((one for one in homes if (one / "conf" / "defaults.ini").is_file()), None)
    if home is None:
        pytest.skip("set GRAFANA_HOME to the folder with Grafana's conf/ and public/")
    (folder / "provisioning" / "datasources").mkdir(parents=True)
    source = {"name": "mimir", "uid": "mimir1", "type": "prometheus", "access": "proxy", "url": mimir}
    source["jsonData"] = {"httpHeaderName1": "X-Scope-OrgID", "prometheusType": "Mimir"}  # type: ignore[assignment]
    source["secureJsonData"] = {"httpHeaderValue1": "tenant"}  # type: ignore[assignment]
    document = json.dumps({"apiVersion": 1, "datasources": [source]})
    (folder / "provisioning" / "datasources" / "mimir.yml").write_text(document)
    settings = {
        "SERVER_HTTP_ADDR": "127.0.0.1",
        "SERVER_HTTP_PORT": str(port),
        "PATHS_DATA": str(folder / "data"),
        "PATHS_LOGS": str(folder / "logs"),
        "PATHS_PROVISIONING": str(folder / "provisioning"),
        "SECURITY_ADMIN_PASSWORD": PASSWORD,
        "ANALYTICS_REPORTING_ENABLED": "false",
        "ANALYTICS_CHECK_FOR_UPDATES": "false",
        "PLUGINS_PREINSTALL_DISABLED": "true",
        "GRPC_SERVER_ADDRESS": f"127.0.0.1:{free_port()}",
    }
    environment = {**os.environ, **{f"GF_{name}": value for name, value in settings.items()}}
    url = f"http://127.0.0.1:{port}"
    command = [str(path), "server", f"--homepath={home}"]
    for _ in started(command, lambda: answers(f"{url}/api/health"), folder / "log", environment):
        yield Grafana(url)


@pytest.fixture
def real(server: Grafana, command: Command, monkeypatch: pytest.MonkeyPatch) -> Grafana:
    """The server, and `command` set to it with an Editor's token."""
    monkeypatch.setenv("GRAFANA_URL", server.url)
    monkeypatch.setenv("GRAFANA_TOKEN", server.token("Editor"))
    return server


def test_dashboards_of_this_version(real: Grafana, command: Command) -> None:
    """Five are created and read back; a second push and a diff find nothing to do."""
    assert command("diff").code == 6
    assert real.dashboard("hypertool-agents") is None
    first = command("push")
    assert (first.code, len(first.report["proven"])) == (0, 5), first.error
    assert real.sees(real.token("Viewer"), "hypertool-agents")
    version = real.dashboard("hypertool-agents")["meta"]["version"]
    assert command("push", "--prune").report["written"] == []
    assert command("diff").code == 0
    assert real.dashboard("hypertool-agents")["meta"]["version"] == version


@pytest.mark.parametrize("role", ["None", "Viewer"])
def test_a_token_that_may_not_write(
    real: Grafana, command: Command, monkeypatch: pytest.MonkeyPatch, files: Files, role: str
) -> None:
    """The missing permissions are named, and nothing is written."""
    monkeypatch.setenv("GRAFANA_TOKEN", real.token(role))
    seen = command("push", "--from", str(files.folder), "--folder", "refused", "--prune")
    assert seen.code == 3
    assert "dashboards:create" in seen.error
    assert real.dashboard("one") is None


def test_edits_are_respected(real: Grafana, command: Command, files: Files) -> None:
    """A save in the browser is left alone until --force; a changed file is written; a removed one is pruned."""
    where = ("--from", str(files.folder), "--folder", "edits")
    files.dashboard("third")
    assert command("push", *where).code == 0
    real.save("one", "Mine", "edits")
    real.save("own", "Own", "edits")
    files.dashboard("two", title="New")
    seen = command("push", *where)
    assert (seen.code, seen.steps("keep"), seen.steps("update")) == (5, ["one"], ["two"])
    assert real.dashboard("one")["dashboard"]["title"] == "Mine"
    assert command("push", *where, "--force").code == 0
    assert real.dashboard("one")["dashboard"]["title"] == "Dashboard one"
    assert command("push", *where).report["written"] == []
    files.remove("third")
    pruned = command("prune", *where)
    assert (pruned.code, pruned.steps("delete")) == (0, ["third"]), pruned.error
    assert real.dashboard("third") is None
    assert real.dashboard("own")["dashboard"]["title"] == "Own"


@pytest.mark.parametrize("way", ["ruler", "data-source", "grafana"])
def test_rules(real: Grafana, command: Command, mimir: str, way: str) -> None:
    """Every group is written once and evaluated without an error; the second push finds them unchanged. Managed by
    Grafana, only the alerts are (its recording rules need a target that this one has not)."""
    where = ("--rules", way, "--data-source", "mimir1", "--ruler-url", mimir, "--ruler-user", "tenant")
    where = (*where, "--namespace", f"rules-{way}")
    proof = () if way == "grafana" else ("--prove", "90")
    first = command("push", *where, *proof)
    assert first.code == 0, first.error
    names = [one["name"] for one in first.report["written"] if one["kind"] == "rules"]
    assert len(names) >= 15
    second = command("push", *where, "--prune")
    assert (second.code, second.report["written"]) == (0, []), second.error


@pytest.mark.parametrize("way", ["ruler", "data-source", "grafana"])
def test_rules_of_ones_own(real: Grafana, command: Command, mimir: str, files: Files, way: str) -> None:
    """A changed group is written, a removed one is pruned, and one of somebody else stays."""
    where = ("--rules", way, "--data-source", "mimir1", "--ruler-url", mimir, "--ruler-user", "tenant")
    where = (*where, "--namespace", f"own-{way}", "--from", str(files.folder), "--folder", f"own-{way}")
    for uid in ("one", "two"):
        files.remove(uid)
    files.dashboard(f"x-{way}")
    first = command("push", *where, "--prove", "90")
    assert first.code == 0, first.error
    files.write_groups([files.group("first", rules=2)])
    seen = command("push", *where, "--prune")
    assert (seen.code, seen.steps("update"), seen.steps("delete")) == (0, ["first"], ["second"]), seen.error
    assert command("push", *where, "--prune").report["written"] == []


def test_a_refused_expression_is_quoted(real: Grafana, command: Command, mimir: str, files: Files) -> None:
    """Mimir's own words; the groups before it are listed as written."""
    broken = {"name": "second", "rules": [{"alert": "A", "expr": "up ==="}]}
    files.write_groups([files.group("first"), broken])
    where = ("--ruler-url", mimir, "--ruler-user", "broken", "--from", str(files.folder), "--folder", "broken")
    files.remove("two")
    files.remove("one")
    files.dashboard("broken")
    seen = command("push", *where)
    assert seen.code == 4
    assert "writing the rule group second: HTTP 400" in seen.error
    assert [one["name"] for one in seen.report["written"]] == ["broken", "broken", "first"]
