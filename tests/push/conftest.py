"""A stand-in server, files to push, and the command in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from hypertool import cli
from tests.push.real_servers import real_grafana as real_grafana
from tests.push.real_servers import real_mimir as real_mimir
from tests.support.grafana_stand_in import TOKEN, StandIn


class Ran(NamedTuple):
    """What a command printed; `report` is its JSON document."""

    code: int
    report: dict[str, Any]
    error: str

    def steps(self, action: str) -> list[str]:
        """Names of the things of that action."""
        return [one["name"] for one in self.report["steps"] if one["action"] == action]


Command = Callable[..., Ran]


@pytest.fixture(scope="session")
def _server() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


@pytest.fixture
def grafana(_server: StandIn) -> StandIn:
    """The stand-in, as new."""
    _server.reset()
    return _server


@pytest.fixture
def command(
    own_settings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], _server: StandIn
) -> Command:
    """Run `hypertool grafana ... --json` against the stand-in; the token must be in no output."""
    for name in ("URL", "TOKEN", "RULER_URL", "RULER_USER", "RULER_TENANT", "RULER_TOKEN"):
        monkeypatch.delenv(f"GRAFANA_{name}", raising=False)
    monkeypatch.setenv("GRAFANA_URL", _server.url)
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def run(*arguments: str) -> Ran:
        code = cli.main(["grafana", *arguments, "--json"])
        printed = capsys.readouterr()
        assert TOKEN not in printed.out + printed.err
        assert "Traceback" not in printed.err
        return Ran(code, json.loads(printed.out or "{}"), printed.err)

    return run


class Files:
    """A folder with dashboards `one`, `two` and the rule groups `first`, `second`, to change at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "dashboards").mkdir()
        (folder / "rules").mkdir()
        for uid in ("one", "two"):
            self.dashboard(uid)
        self.groups("first", "second")

    def dashboard(self, uid: str, **more: Any) -> None:
        """Write one dashboard."""
        spec = {"uid": uid, "title": f"Dashboard {uid}", "panels": [], "schemaVersion": 37, **more}
        (self.folder / "dashboards" / f"{uid}.json").write_text(json.dumps(spec))

    def groups(self, *names: str, **more: Any) -> None:
        """Write one rule file with these groups."""
        self.write_groups([self.group(name, **more) for name in names])

    def group(self, name: str, rules: int = 1, **more: Any) -> dict[str, Any]:
        """A group as a rule file has it."""
        listed = [{"alert": f"A{number}", "expr": f"up == {number}", "for": "1m"} for number in range(rules)]
        return {"name": name, "interval": "20s", "rules": listed, **more}

    def write_groups(self, groups: list[dict[str, Any]]) -> None:
        """Write the rule file."""
        (self.folder / "rules" / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))

    def remove(self, uid: str) -> None:
        """Remove one dashboard."""
        (self.folder / "dashboards" / f"{uid}.json").unlink()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Files of a user's own."""
    folder = tmp_path / "files"
    folder.mkdir()
    return Files(folder)
