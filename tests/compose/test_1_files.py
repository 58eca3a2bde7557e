"""What can be said of the Compose files without starting anything: valid, pinned, and the same files as natively."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.compose import Stack

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
ALWAYS = {"exporter", "alert-log", "demo", "alertmanager", "web-access"}
GRAFANA = {"grafana", "grafana-password"}
LANGFUSE = {f"langfuse-{part}" for part in ("web", "worker", "clickhouse", "minio", "redis", "postgres")}
PROFILES = {
    "local": ALWAYS | GRAFANA | {"alloy", "prometheus-receiver"},
    "cloud": ALWAYS | GRAFANA | {"alloy-cloud", "cloud-check", "prometheus"},
    "minimal": ALWAYS | {"prometheus"},
    "langfuse": ALWAYS | LANGFUSE,
}


def versions() -> dict[str, str]:
    lines = (COMPOSE / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.fixture(scope="session")
def profiles(engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every profile as Compose resolves it; the secrets of Langfuse are made, as its user makes them."""
    secrets = tmp_path_factory.mktemp("secrets")
    made = subprocess.run(
        [sys.executable, str(COMPOSE / "langfuse_secrets.py"), str(secrets / "langfuse")],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    variables = {"LANGFUSE_SECRETS": str(secrets / "langfuse")}
    return {name: Stack(COMPOSE, engine, name, variables=variables).config() for name in PROFILES}


def test_profiles_are_valid_and_start_what_they_say(profiles: dict[str, dict[str, Any]]) -> None:
    """Every profile is valid and starts the services that it says."""
    assert {name: set(shown["services"]) for name, shown in profiles.items()} == PROFILES


def test_without_a_profile_it_is_the_local_stack(engine: dict[str, str]) -> None:
    shown = subprocess.run(
        ["docker", "compose", "config", "--services"],
        cwd=COMPOSE,
        env=engine,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert set(shown.split()) == PROFILES["local"]


def test_langfuse_without_its_secrets_names_the_file(engine: dict[str, str], tmp_path: Path) -> None:
    missing = str(tmp_path / "langfuse")
    stack = Stack(COMPOSE, engine, "langfuse", variables={"LANGFUSE_SECRETS": missing})
    done = stack.compose("config", "--quiet")
    assert done.returncode != 0
    assert missing in done.stderr


def test_images_are_pinned_and_named_once() -> None:
    images = {key: value for key, value in versions().items() if key.endswith("_IMAGE")}
    files = [file for file in COMPOSE.iterdir() if file.is_file() and file.name != ".env"]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    for key, image in images.items():
        assert re.fullmatch(r"[a-z0-9/-]+:(v|RELEASE\.)?\d[\w.-]*", image), f"{key}={image} is not pinned to a version"
        assert any(key in text for text in texts.values()), f"{key} is used nowhere"
        assert [file.name for file, text in texts.items() if image in text] == [], f"{image} is named twice"
    named = re.findall(r"^\s+image: (.*)$", texts[COMPOSE / "compose.yaml"] + texts[COMPOSE / "langfuse.yaml"], re.M)
    assert named
    assert [one for one in named if not re.match(r"\$\{[A-Z_]+_IMAGE[:}]", one)] == []


#: The first version of an image without the holes that were published for those before it.
WITHOUT_KNOWN_HOLES = {"PROMETHEUS_IMAGE": (3, 5, 3), "GRAFANA_IMAGE": (12, 4, 5)}


@pytest.mark.shared_host("S17")
def test_images_are_without_known_holes() -> None:
    for key, oldest in WITHOUT_KNOWN_HOLES.items():
        image = versions()[key]
        tag = image.partition("@")[0].rpartition(":")[2]
        assert tuple(map(int, tag.removeprefix("v").split("."))) >= oldest, f"{image} has published holes"


@pytest.mark.shared_host("S30")
def test_no_service_has_more_than_it_needs(profiles: dict[str, dict[str, Any]]) -> None:
    for profile in ("local", "cloud", "minimal"):
        for name, service in profiles[profile]["services"].items():
            assert service["cap_drop"] == ["ALL"], name
            assert service["read_only"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            once = service["restart"] == "no"
            assert once or "mem_limit" in service, name
            assert once or name == "demo" or "healthcheck" in service, name
            assert "user" in service, name
            assert not service.get("privileged"), name
            assert "ports" not in service, name
    for name, service in profiles["langfuse"]["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert name == "demo" or service["restart"] == "no" or "healthcheck" in service, name
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name


@pytest.mark.shared_host("S30")
def test_langfuse_parts_get_only_their_secrets(profiles: dict[str, dict[str, Any]]) -> None:
    """A part that is broken into gives away its own password, not the keys that encrypt everybody's data."""
    secret = {"SALT", "ENCRYPTION_KEY", "NEXTAUTH_SECRET", "DATABASE_URL", "REDIS_AUTH", "POSTGRES_PASSWORD"}
    secret |= {"CLICKHOUSE_PASSWORD", "MINIO_ROOT_PASSWORD", "LANGFUSE_INIT_PROJECT_SECRET_KEY"}
    found = {
        name: secret & set(service["environment"])
        for name, service in profiles["langfuse"]["services"].items()
        if name.startswith("langfuse-")
    }
    assert found["langfuse-clickhouse"] == {"CLICKHOUSE_PASSWORD"}
    assert found["langfuse-minio"] == {"MINIO_ROOT_PASSWORD"}
    assert found["langfuse-redis"] == {"REDIS_AUTH"}
    assert found["langfuse-postgres"] == {"POSTGRES_PASSWORD"}
    assert "NEXTAUTH_SECRET" not in found["langfuse-worker"]
    assert found["langfuse-web"] >= {"NEXTAUTH_SECRET", "ENCRYPTION_KEY", "DATABASE_URL", "REDIS_AUTH"}


def test_langfuse_secrets_are_made_once(tmp_path: Path) -> None:
    """A second run changes nothing; the one file of earlier versions is taken over; no secret is printed."""
    earlier = tmp_path / "langfuse.env"
    earlier.write_text("REDIS_AUTH=of-the-running-one\n")
    command = [sys.executable, str(COMPOSE / "langfuse_secrets.py"), str(tmp_path / "langfuse")]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    files = {file.name: file.read_text() for file in (tmp_path / "langfuse").iterdir()}
    assert files["redis.env"] == "REDIS_AUTH=of-the-running-one\n"
    assert {(tmp_path / "langfuse" / name).stat().st_mode & 0o777 for name in files} == {0o600}
    values = [line.split("=", 1)[1] for text in files.values() for line in text.splitlines()]
    assert [value for value in values if len(value) > 30 and value in first.stdout + first.stderr] == []
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 1
    assert "exists" in second.stderr
    assert {file.name: file.read_text() for file in (tmp_path / "langfuse").iterdir()} == files


@pytest.mark.shared_host("S16")
def test_alloy_reaches_no_socket_of_the_host(profiles: dict[str, dict[str, Any]]) -> None:
    """The engine's socket below /run is root on the host: it is masked, and no group is guessed."""
    for profile, name in (("local", "alloy"), ("cloud", "alloy-cloud")):
        service = profiles[profile]["services"][name]
        assert any(mount.startswith("/host/run:") for mount in service["tmpfs"]), name
        assert set(service["group_add"]) <= {"473", "10465"}, name


def test_dockerfile_is_clean() -> None:
    done = subprocess.run(["hadolint", str(COMPOSE / "hypertool.Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def mounted(service: dict[str, Any], below: str) -> dict[str, Path]:
    """Name inside the container, below a folder -> the file of the host."""
    return {
        volume["target"].removeprefix(below + "/"): Path(volume["source"])
        for volume in service["volumes"]
        if volume["type"] == "bind" and volume["target"].startswith(below)
    }


@pytest.mark.parametrize(
    ("profile", "service", "destination"), [("local", "alloy", "local"), ("cloud", "alloy-cloud", "grafana_cloud")]
)
def test_alloy_loads_the_files_of_the_repository(
    profiles: dict[str, dict[str, Any]], profile: str, service: str, destination: str
) -> None:
    """As the role does: every file of alloy/, with one of the destinations and nothing experimental."""
    expected = {
        file.name: file
        for file in (ROOT / "alloy").glob("*.alloy")
        if file.stem in ("delta_refused", f"destination_{destination}")
        or not file.name.startswith(("delta_", "destination_"))
    }
    assert mounted(profiles[profile]["services"][service], "/etc/alloy/hypertool") == expected


def test_alloy_gets_every_variable_that_its_files_read(profiles: dict[str, dict[str, Any]]) -> None:
    for profile, service in (("local", "alloy"), ("cloud", "alloy-cloud")):
        shown = profiles[profile]["services"][service]
        read = {
            name
            for file in mounted(shown, "/etc/alloy/hypertool").values()
            for name in re.findall(r'sys\.env\("(\w+)"\)', file.read_text(encoding="utf-8"))
        }
        # What may be empty: alloy/README.md says what it means then.
        optional = {"HYPERTOOL_ALLOY_CA_FILE", "HYPERTOOL_ALLOY_PROXY_URL"}
        assert read - optional - set(shown["environment"]) == set()


def test_the_outage_budget_is_the_one_of_the_role(profiles: dict[str, dict[str, Any]]) -> None:
    sys.path.insert(0, str(ROOT / "ansible" / "filter_plugins"))
    try:
        from outage_budget import outage_settings
    finally:
        sys.path.pop(0)
    derived = outage_settings("8h")["environment"]
    for profile, service in (("local", "alloy"), ("cloud", "alloy-cloud")):
        environment = profiles[profile]["services"][service]["environment"]
        assert {name: environment[name] for name in derived} == derived


def test_prometheus_and_grafana_load_our_files(profiles: dict[str, dict[str, Any]]) -> None:
    """Prometheus and Grafana load the files of the repository."""
    for profile, service in (("local", "prometheus-receiver"), ("cloud", "prometheus"), ("minimal", "prometheus")):
        files = mounted(profiles[profile]["services"][service], "/etc/hypertool/prometheus")
        assert {name: path.relative_to(ROOT / "prometheus").as_posix() for name, path in files.items()} == {
            name: name for name in files
        }
        assert {"rules", "web"} <= set(files)
        # Its configuration is the repository's with the password, which web-access writes.
        written = mounted(profiles[profile]["services"]["web-access"], "/usr/local/share/hypertool")
        assert written["prometheus.yml"] == ROOT / "prometheus" / "prometheus.yml"
    for profile in ("local", "cloud"):
        files = mounted(profiles[profile]["services"]["grafana"], "/etc/hypertool/grafana")
        assert files == {name: ROOT / "grafana" / name for name in ("dashboards", "provisioning")}
    files = mounted(profiles["minimal"]["services"]["alertmanager"], "/etc/hypertool/alertmanager")
    assert files == {"/etc/hypertool/alertmanager": ROOT / "prometheus/alertmanager"}


def test_password_of_prometheus_is_made_once(tmp_path: Path) -> None:
    """Prometheus accepts the written configuration, the hash is the password's, and a second run changes nothing."""
    program = tmp_path / "program"
    (program / "ansible").mkdir(parents=True)
    shutil.copy(COMPOSE / "web_access.py", program)
    shutil.copytree(ROOT / "ansible" / "module_utils", program / "ansible" / "module_utils")
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(ROOT / "prometheus" / "prometheus.yml", source)
    shutil.copy(ROOT / "grafana/provisioning/datasources/hypertool.yml", source / "datasource.yml")
    folders = [tmp_path / name for name in ("secrets", "prometheus", "datasources")]
    for folder in folders:
        folder.mkdir()

    def run() -> str:
        # -S: the container has no Ansible, whose package would hide the mounted one.
        done = subprocess.run(
            [sys.executable, "-S", str(program / "web_access.py"), *map(str, folders), str(source)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    said = run()
    made = {file.relative_to(tmp_path).as_posix(): file for folder in folders for file in folder.iterdir()}
    password = made["secrets/web_password"].read_text().strip()
    assert len(password) >= 32
    assert password not in said
    assert {(file.stat().st_mode & 0o777, file.stat().st_gid) for file in made.values()} == {(0o640, 10465)}
    access = {"username": "hypertool", "password_file": "/etc/hypertool/secrets/web_password"}
    prometheus = yaml.safe_load(made["prometheus/prometheus.yml"].read_text())
    assert [one["basic_auth"] for one in prometheus["alerting"]["alertmanagers"]] == [access]
    jobs = {one["job_name"]: one.get("basic_auth") for one in prometheus["scrape_configs"]}
    assert {name for name, given in jobs.items() if given == access} == {"prometheus", "alertmanager"}
    assert [name for name, given in jobs.items() if given not in (None, access)] == []
    (login,) = yaml.safe_load(made["datasources/hypertool.yml"].read_text())["datasources"]
    assert login["secureJsonData"] == {"basicAuthPassword": "$__file{/etc/hypertool/secrets/web_password}"}
    web = yaml.safe_load(made["secrets/web.yml"].read_text())["basic_auth_users"]["hypertool"]
    assert web.startswith("$2b$")
    before = {name: file.read_bytes() for name, file in made.items()}
    run()
    assert {name: file.read_bytes() for name, file in made.items()} == before


def test_grafanas_password_is_made_once(tmp_path: Path) -> None:
    """Grafana's password is made once, and is never short."""

    def run(given: str | None) -> subprocess.CompletedProcess[str]:
        environment = {} if given is None else {"GRAFANA_ADMIN_PASSWORD": given}
        return subprocess.run(
            [sys.executable, str(COMPOSE / "grafana_password.py"), str(path)],
            env=environment,
            capture_output=True,
            text=True,
        )

    path = tmp_path / "admin_password"
    refused = run("admin")
    assert refused.returncode == 1
    assert "at least 12" in refused.stderr
    assert not path.exists()
    assert run(None).returncode == 0
    first = path.read_text()
    assert len(first) >= 32
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o400, 472)
    assert run(None).returncode == 0
    assert path.read_text() == first
    assert run("a-long-password-of-mine").returncode == 0
    assert path.read_text() == "a-long-password-of-mine"
