"""Dashboards: written once, changed only where a file changed, and never over another person's change."""

from __future__ import annotations

import pytest

from tests.push.conftest import Command, Files
from tests.support.grafana_stand_in import StandIn

INTERFACES = ("v1", "v1beta1", "legacy")


@pytest.fixture(params=INTERFACES)
def server(request: pytest.FixtureRequest, grafana: StandIn) -> StandIn:
    """The stand-in in each of its interfaces."""
    grafana.reset(request.param)
    return grafana


def test_second_push_changes_nothing(server: StandIn, command: Command) -> None:
    """The first push writes the folder and five dashboards and reads them back; the second writes nothing."""
    first = command("push")
    assert first.code == 0, first.error
    assert (set(server.folders), server.visible) == ({"hypertool"}, True)
    assert len(server.dashboards) == 5
    assert len([one for one in first.report["proven"] if one.startswith("dashboard")]) == 5
    before, server.requests = server.content(), []
    second = command("push", "--prune")
    assert (second.code, second.report["changed"]) == (0, False)
    assert (server.content(), server.writes()) == (before, [])


def test_diff_writes_nothing(server: StandIn, command: Command, files: Files) -> None:
    """A diff names what a push would write, with exit code 6, and 0 once there is nothing."""
    seen = command("diff", "--from", str(files.folder))
    assert (seen.code, seen.steps("create")) == (6, ["hypertool", "one", "two"])
    assert (server.content(), server.writes()) == (({}, {}, {}), [])
    command("push", "--from", str(files.folder))
    assert command("diff", "--from", str(files.folder)).code == 0


def test_only_a_changed_file_is_written(server: StandIn, command: Command, files: Files) -> None:
    """The other dashboard keeps its generation, so its history gets no entry."""
    command("push", "--from", str(files.folder))
    files.dashboard("two", title="Another")
    seen = command("push", "--from", str(files.folder))
    assert seen.steps("update") == ["two"]
    assert {uid: one["generation"] for uid, one in server.dashboards.items()} == {"one": 1, "two": 2}
    assert server.dashboards["two"]["spec"]["title"] == "Another"
    assert command("push", "--from", str(files.folder)).report["changed"] is False


def test_an_edited_dashboard_is_left_alone(server: StandIn, command: Command, files: Files) -> None:
    """What a person saved stays until --force, and the others are pushed; exit code 5."""
    command("push", "--from", str(files.folder))
    server.save_in_browser("one", title="Mine")
    files.dashboard("two", title="New")
    seen = command("push", "--from", str(files.folder))
    assert (seen.code, seen.steps("keep"), seen.steps("update")) == (5, ["one"], ["two"])
    assert server.dashboards["one"]["spec"]["title"] == "Mine"
    assert command("push", "--from", str(files.folder), "--force").code == 0
    assert server.dashboards["one"]["spec"]["title"] == "Dashboard one"
    assert command("push", "--from", str(files.folder)).report["changed"] is False


def test_an_edit_that_keeps_the_marks_is_seen(grafana: StandIn, command: Command, files: Files) -> None:
    """A tool that saves with our annotations still counts the generation up."""
    command("push", "--from", str(files.folder))
    grafana.dashboards["one"]["generation"] += 1
    seen = command("push", "--from", str(files.folder))
    assert (seen.code, seen.steps("keep")) == (5, ["one"])


def test_a_moved_dashboard_is_left_alone(grafana: StandIn, command: Command, files: Files) -> None:
    """It was moved to another folder."""
    command("push", "--from", str(files.folder))
    grafana.dashboards["one"]["folder"] = "elsewhere"
    seen = command("push", "--from", str(files.folder))
    assert (seen.code, seen.steps("keep")) == (5, ["one"])
    assert "elsewhere" in str(seen.report["kept"])


def test_a_folder_that_a_person_moved(server: StandIn, command: Command, files: Files) -> None:
    """Its new title and place stay; the dashboards in it are still ours to write."""
    command("push", "--from", str(files.folder))
    server.folders["hypertool"]["title"] = "Agents of the team"
    server.folders["hypertool"]["annotations"]["grafana.app/folder"] = "team"
    files.dashboard("one", title="New")
    seen = command("push", "--from", str(files.folder), "--prune")
    assert (seen.code, seen.steps("update")) == (0, ["one"]), seen.error
    assert server.folders["hypertool"]["title"] == "Agents of the team"
    assert server.folders["hypertool"]["annotations"]["grafana.app/folder"] == "team"


@pytest.mark.parametrize(
    ("manager", "name"),
    [
        ("terraform", "team"),
        ("repo", "git"),
        ("classic-file-provisioning", "a"),
        ("kubectl", "gcx"),
        ("plugin", "p"),
    ],
)
def test_other_managers_are_respected(
    grafana: StandIn, command: Command, files: Files, manager: str, name: str
) -> None:
    """A dashboard that something else manages is never written and never pruned, also with --force."""
    grafana.put("one", "hypertool", managedBy=manager, managerId=name)
    command("push", "--from", str(files.folder))
    grafana.put("old", "hypertool", managedBy=manager, managerId=name)
    grafana.dashboards["old"]["labels"] = grafana.dashboards["two"]["labels"]
    before = grafana.content()
    seen = command("push", "--from", str(files.folder), "--prune", "--force")
    assert (seen.code, seen.steps("keep")) == (5, ["one", "old"])
    assert manager in str(seen.report["kept"])
    assert grafana.content() == before


def test_old_grafanas_provisioned_file_is_respected(grafana: StandIn, command: Command, files: Files) -> None:
    """Where there are no annotations, `meta.provisioned` says so."""
    grafana.reset("legacy")
    grafana.put("one", "other", managedBy="classic-file-provisioning")
    seen = command("push", "--from", str(files.folder), "--force")
    assert (seen.code, seen.steps("keep")) == (5, ["one"])
    assert "x.json" in str(seen.report["kept"])


def test_prune_deletes_what_left_the_files(server: StandIn, command: Command, files: Files) -> None:
    """`push` names it, `prune` and `push --prune` delete it; somebody's own in the same folder stays."""
    command("push", "--from", str(files.folder))
    server.put("own", "hypertool")
    files.remove("two")
    assert command("push", "--from", str(files.folder)).report["changed"] is False
    seen = command("prune", "--from", str(files.folder))
    assert (seen.code, seen.steps("delete")) == (0, ["two"])
    assert set(server.dashboards) == {"one", "own"}


def test_prune_spares_what_was_edited(server: StandIn, command: Command, files: Files) -> None:
    """A dashboard of ours that a person edited is theirs now."""
    command("push", "--from", str(files.folder))
    server.save_in_browser("two")
    files.remove("two")
    before = server.content()
    assert command("prune", "--from", str(files.folder)).report["changed"] is False
    assert server.content() == before


def test_prune_sees_every_page(grafana: StandIn, command: Command, files: Files) -> None:
    """A list that comes in pages is read to its end."""
    for number in range(5):
        files.dashboard(f"old{number}")
    command("push", "--from", str(files.folder))
    for number in range(5):
        files.remove(f"old{number}")
    grafana.page = 2
    assert len(command("prune", "--from", str(files.folder)).steps("delete")) == 5
    assert set(grafana.dashboards) == {"one", "two"}


def test_prune_keeps_to_its_folder(grafana: StandIn, command: Command, files: Files) -> None:
    """Two pushes into two folders of one Grafana do not delete each other's dashboards."""
    command("push", "--from", str(files.folder), "--folder", "team-a")
    before = grafana.content()
    for uid in ("one", "two"):
        files.remove(uid)
    files.dashboard("three")
    for _ in range(2):  # the second one finds its folder
        seen = command("push", "--from", str(files.folder), "--folder", "team-b", "--prune", "--force")
        assert (seen.code, seen.steps("delete")) == (0, [])
    assert {uid: grafana.dashboards[uid] for uid in ("one", "two")} == before[1]


def test_a_folder_of_another_manager_is_refused(grafana: StandIn, command: Command, files: Files) -> None:
    """A folder that Git Sync owns takes nothing of ours."""
    grafana.folders["hypertool"] = {"title": "x", "annotations": {"grafana.app/managedBy": "repo"}}
    seen = command("push", "--from", str(files.folder))
    assert (seen.code, grafana.writes()) == (1, [])
    assert "repo" in seen.error
    assert "--folder" in seen.error


def test_labels_of_others_survive_an_update(grafana: StandIn, command: Command, files: Files) -> None:
    """A PUT replaces everything, so what others attached is given back."""
    command("push", "--from", str(files.folder))
    grafana.dashboards["one"]["labels"]["team"] = "a"
    grafana.dashboards["one"]["annotations"]["example.com/owner"] = "b"
    files.dashboard("one", title="Changed")
    command("push", "--from", str(files.folder))
    assert grafana.dashboards["one"]["labels"]["team"] == "a"
    assert grafana.dashboards["one"]["annotations"]["example.com/owner"] == "b"


def test_two_folders_of_an_old_grafana(grafana: StandIn, command: Command) -> None:
    """Before Grafana 11, titles of folders are unique: ours differ, and a foreign folder of that title is reported."""
    grafana.reset("legacy", version="9.3.6")
    assert command("push").code == 0
    assert command("push", "--folder", "team").code == 5  # the dashboards are in the other folder
    grafana.folders = {"mine": {"title": "Hypertool", "annotations": {}}}
    grafana.dashboards.clear()
    seen = command("push")
    assert seen.code == 1
    assert "rename that one" in seen.error
