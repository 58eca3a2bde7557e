"""The promises against a real Grafana and a real Mimir, where GRAFANA_BIN and MIMIR_BIN say where they are."""

from __future__ import annotations

import pytest

from tests.push.conftest import Command, Files
from tests.push.real_servers import PROVISIONED, Grafana


@pytest.fixture
def real(real_grafana: Grafana, command: Command, monkeypatch: pytest.MonkeyPatch) -> Grafana:
    """The server without dashboards of an earlier test, and `command` set to it with an Editor's token."""
    for one in real_grafana.ask("GET", "/api/search?type=dash-db"):
        if one["uid"] != PROVISIONED:
            real_grafana.ask("DELETE", f"/api/dashboards/uid/{one['uid']}")
    monkeypatch.setenv("GRAFANA_URL", real_grafana.url)
    monkeypatch.setenv("GRAFANA_TOKEN", real_grafana.token("Editor"))
    return real_grafana


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


def test_a_file_of_grafanas_own_stays(real: Grafana, command: Command, files: Files) -> None:
    """A dashboard that Grafana reads from a file cannot be saved there: it is named and left alone, also by --force."""
    files.dashboard(PROVISIONED)
    where = ("--from", str(files.folder), "--folder", "provisioned")
    seen = command("push", *where, "--force", "--prune")
    assert (seen.code, seen.steps("keep"), seen.steps("create")) == (5, [PROVISIONED], ["provisioned", "one", "two"])
    assert real.dashboard(PROVISIONED)["dashboard"]["title"] == "From a file"


def test_what_people_keep_in_our_folder(real: Grafana, command: Command, files: Files) -> None:
    """A library panel, a dashboard that shows it, and the folder's own name and place outlive a push that forces and
    prunes."""
    where = ("--from", str(files.folder), "--folder", "shared")
    files.dashboard("gone")
    assert command("push", *where).code == 0
    panel = {"uid": "lib", "name": "Ours", "kind": 1, "folderUid": "shared", "model": {"type": "text", "title": "Ours"}}
    real.ask("POST", "/api/library-elements", panel)
    shown = {"id": 1, "libraryPanel": {"uid": "lib", "name": "Ours"}, "gridPos": {"x": 0, "y": 0, "w": 6, "h": 6}}
    spec = {"uid": "theirs", "title": "Theirs", "panels": [shown]}
    real.ask("POST", "/api/dashboards/db", {"dashboard": spec, "folderUid": "shared"})
    real.ask("POST", "/api/folders", {"uid": "team", "title": "Team"})
    real.ask("POST", "/api/folders/shared/move", {"parentUid": "team"})
    real.ask("PUT", "/api/folders/shared", {"title": "Renamed", "overwrite": True})
    theirs, kept = real.dashboard("theirs"), real.ask("GET", "/api/library-elements/lib")["result"]
    files.dashboard("two", title="New")
    files.remove("gone")
    seen = command("push", *where, "--force", "--prune")
    assert (seen.code, seen.steps("update"), seen.steps("delete")) == (0, ["two"], ["gone"]), seen.error
    folder = real.ask("GET", "/api/folders/shared")
    assert (folder["title"], folder["parentUid"]) == ("Renamed", "team")
    after = real.ask("GET", "/api/library-elements/lib")["result"]
    assert (after["version"], after["model"]) == (kept["version"], kept["model"])
    shown = real.dashboard("theirs")
    assert shown["meta"]["version"] == theirs["meta"]["version"]
    assert shown["dashboard"]["panels"][0]["libraryPanel"]["uid"] == "lib"


def test_a_token_for_one_folder(real: Grafana, command: Command, monkeypatch: pytest.MonkeyPatch, files: Files) -> None:
    """An account that may edit only our folder pushes there; elsewhere it is refused before the first write."""
    where = ("--from", str(files.folder), "--folder", "narrow")
    assert command("push", *where).code == 0
    monkeypatch.setenv("GRAFANA_TOKEN", real.token("Viewer", edits="narrow"))
    files.dashboard("one", title="New")
    seen = command("push", *where)
    assert (seen.code, seen.steps("update")) == (0, ["one"]), seen.error
    refused = command("push", "--from", str(files.folder), "--folder", "another")
    assert refused.code == 3
    assert "folders:create" in refused.error
    assert real.dashboard("one")["dashboard"]["title"] == "New"


def test_tenants_of_one_mimir_are_apart(real: Grafana, command: Command, real_mimir: str, files: Files) -> None:
    """The rules of one tenant are neither seen nor pruned by a push for another."""
    where = ("--from", str(files.folder), "--folder", "tenants", "--ruler-url", real_mimir)
    assert command("push", *where, "--ruler-tenant", "team-a").code == 0
    files.groups("second")
    seen = command("push", *where, "--ruler-tenant", "team-b", "--prune", "--force")
    assert [one["name"] for one in seen.report["written"]] == ["second"]
    files.groups("first", "second")
    assert command("diff", *where, "--ruler-tenant", "team-a").code == 0
    assert command("diff", *where, "--ruler-tenant", "team-b").steps("create") == ["first"]


@pytest.mark.parametrize("way", ["ruler", "data-source", "grafana"])
def test_rules(real: Grafana, command: Command, real_mimir: str, way: str) -> None:
    """Every group is written once and evaluated without an error; the second push finds them unchanged. Managed by
    Grafana, only the alerts are (its recording rules need a target that this one has not)."""
    where = ("--rules", way, "--data-source", "mimir1", "--ruler-url", real_mimir, "--ruler-user", "tenant")
    where = (*where, "--namespace", f"rules-{way}")
    proof = () if way == "grafana" else ("--prove", "90")
    first = command("push", *where, *proof)
    assert first.code == 0, first.error
    names = [one["name"] for one in first.report["written"] if one["kind"] == "rules"]
    assert len(names) >= 15
    second = command("push", *where, "--prune")
    assert (second.code, second.report["written"]) == (0, []), second.error


@pytest.mark.parametrize("way", ["ruler", "data-source", "grafana"])
def test_rules_of_ones_own(real: Grafana, command: Command, real_mimir: str, files: Files, way: str) -> None:
    """A changed group is written, a removed one is pruned, and one of somebody else stays."""
    where = ("--rules", way, "--data-source", "mimir1", "--ruler-url", real_mimir, "--ruler-user", "tenant")
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


def test_a_refused_expression_is_quoted(real: Grafana, command: Command, real_mimir: str, files: Files) -> None:
    """Mimir's own words; the groups before it are listed as written."""
    broken = {"name": "second", "rules": [{"alert": "A", "expr": "up ==="}]}
    files.write_groups([files.group("first"), broken])
    where = ("--ruler-url", real_mimir, "--ruler-user", "broken", "--from", str(files.folder), "--folder", "broken")
    files.remove("two")
    files.remove("one")
    files.dashboard("broken")
    seen = command("push", *where)
    assert seen.code == 4
    assert "writing the rule group second: HTTP 400" in seen.error
    assert [one["name"] for one in seen.report["written"]] == ["broken", "broken", "first"]
