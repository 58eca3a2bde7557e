"""A real Mimir, and a real Grafana in front of it, where MIMIR_BIN and GRAFANA_BIN say where the programs are."""

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

from tests.support.box import free_port, until
from tests.support.service import end

PASSWORD = "tests-only"
#: The uid of a dashboard that Grafana reads from a file.
PROVISIONED = "from-a-file"
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
            end(process)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def real_mimir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
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
        return json.loads(self.text(path, method, None if body is None else json.dumps(body).encode()) or "null")

    def text(self, path: str, method: str = "GET", body: bytes | None = None) -> str:
        """What the administrator gets; an error status raises."""
        headers = {"Authorization": self._basic, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def token(self, role: str, edits: str = "") -> str:
        """A new token of that role, which may also edit the folder `edits`."""
        self._accounts += 1
        account = self.ask("POST", "/api/serviceaccounts", {"name": f"tests-{self._accounts}", "role": role})
        if edits:
            path = f"/api/access-control/folders/{edits}/users/{account['id']}"
            self.ask("POST", path, {"permission": "Edit"})
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
def real_grafana(tmp_path_factory: pytest.TempPathFactory, real_mimir: str) -> Iterator[Grafana]:
    """A Grafana with that Mimir as the data source `mimir1`."""
    path, folder, port = program("GRAFANA_BIN"), tmp_path_factory.mktemp("grafana"), free_port()
    homes = [Path(os.environ.get("GRAFANA_HOME", path.parent)), *path.parents, Path("/usr/share/grafana")]
    home = next((one for one in homes if (one / "conf" / "defaults.ini").is_file()), None)
    if home is None:
        pytest.skip("set GRAFANA_HOME to the folder with Grafana's conf/ and public/")
    (folder / "provisioning" / "datasources").mkdir(parents=True)
    (folder / "provisioning" / "dashboards").mkdir()
    (folder / "boards").mkdir()
    board = {"uid": PROVISIONED, "title": "From a file", "panels": [], "schemaVersion": 37}
    (folder / "boards" / "board.json").write_text(json.dumps(board))
    provider = {"name": "files", "folder": "Files", "type": "file", "options": {"path": str(folder / "boards")}}
    boards = json.dumps({"apiVersion": 1, "providers": [provider]})
    (folder / "provisioning" / "dashboards" / "files.yml").write_text(boards)
    source = {"name": "mimir", "uid": "mimir1", "type": "prometheus", "access": "proxy", "url": real_mimir}
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
