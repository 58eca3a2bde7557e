"""The addresses of Grafana that guides and alerts name show something in a real one, with the dashboards pushed."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.push.conftest import Command
from tests.push.real_servers import Grafana
from tests.support.addresses import OF_GRAFANA
from tests.support.ansible_module import ROOT

#: The dashboards that alerts and dashboards lead to, with their parameters.
LED_TO = sorted(
    {
        re.sub(r"\{\{.*?\}\}", "host-a", address)
        for file in (ROOT / "prometheus" / "rules").glob("*.yml")
        for address in re.findall(r"http://localhost:3000(/d/\S+)", file.read_text(encoding="utf-8"))
    }
)
PAGE = "<title>Grafana</title>"


@pytest.fixture
def pushed(real_grafana: Grafana, command: Command, monkeypatch: pytest.MonkeyPatch) -> Grafana:
    """The server with the five dashboards."""
    monkeypatch.setenv("GRAFANA_URL", real_grafana.url)
    monkeypatch.setenv("GRAFANA_TOKEN", real_grafana.token("Editor"))
    assert command("push", "--force").code == 0
    return real_grafana


def test_every_named_address_shows_something(pushed: Grafana) -> None:
    """Each path that a text may name is opened; what alerts lead to is a dashboard that is there, at a panel of it."""
    assert {"", "/", "/d/", "/api/health"} == OF_GRAFANA
    assert PAGE in pushed.text("/")
    assert '"database": "ok"' in pushed.text("/api/health").replace('":"', '": "')
    assert len(LED_TO) > 5, "the rules name no dashboards any more, or in another way"
    for address in LED_TO:
        assert PAGE in pushed.text(address), address
        parts = urlsplit(address)
        found = pushed.dashboard(parts.path.removeprefix("/d/"))
        assert found is not None, f"{address}: there is no such dashboard"
        assert found["meta"]["url"].startswith(parts.path), address
        panels = {str(panel["id"]) for panel in found["dashboard"]["panels"]}
        assert set(parse_qs(parts.query).get("viewPanel", [])) <= panels, address
