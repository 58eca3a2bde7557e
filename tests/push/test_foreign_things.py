"""Whatever else is in a Grafana: a push and a prune leave it as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hypertool.grafana import rulers, sources
from hypertool.grafana.client import Client, Credential
from hypertool.grafana.push import Choice, Push, Wanted
from hypertool.grafana.rule_groups import marked
from tests.support.grafana_stand_in import TOKEN, StandIn

NAMES = st.sampled_from(["one", "two", "a", "hypertool", "hypertool-x", "x_1", "Ünïcode", "with blank", "%2F"])
UIDS = NAMES.filter(lambda name: name.isascii() and " " not in name and "%" not in name)
MANAGERS = st.sampled_from(["", "terraform", "repo", "kubectl", "classic-file-provisioning", "unknown"])
LABELS = st.sampled_from([{}, {"app.kubernetes.io/managed-by": "hypertool"}, {"app.kubernetes.io/managed-by": "helm"}])
BOARDS = st.dictionaries(UIDS, st.tuples(st.sampled_from(["", "hypertool", "team"]), MANAGERS, LABELS), max_size=6)
RULE = st.fixed_dictionaries({"alert": NAMES, "expr": st.sampled_from(["up", "up # pushed by hypertool", "x > 1"])})
GROUPS = st.dictionaries(NAMES, st.lists(RULE, min_size=1, max_size=2), max_size=4)
RULES = st.dictionaries(st.sampled_from(["hypertool", "team", "hypertool-b"]), GROUPS, max_size=3)


def push(server: StandIn, folder: Path, prune: bool, force: bool, managed: bool) -> Push:
    """One push of a folder with two dashboards and two groups, run."""
    client = Client(server.url, Credential(TOKEN))
    route = rulers.grafana_managed("ds1") if managed else rulers.data_source("ds1")
    wanted = Wanted(sources.dashboards(folder), sources.groups(sources.Links(), folder))
    made = Push(client, wanted, Choice(prune=prune, force=force), rulers.Ruler(client, route, "hypertool"))
    made.run()
    return made


def fill(server: StandIn, boards: dict[str, Any], rules: dict[str, Any]) -> None:
    """Put other people's things there."""
    for uid, (folder, manager, labels) in boards.items():
        server.put(uid, folder, **({"managedBy": manager, "managerId": "m"} if manager else {}))
        server.dashboards[uid]["labels"] = labels
    for namespace, groups in rules.items():
        server.rules[namespace] = {name: {"name": name, "rules": listed} for name, listed in groups.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    boards=BOARDS,
    rules=RULES,
    folders=st.sets(UIDS, max_size=3),
    interface=st.sampled_from(["v1", "v1beta1", "legacy"]),
    force=st.booleans(),
    managed=st.booleans(),
)
@example(
    boards={"a": ("hypertool", "", {"app.kubernetes.io/managed-by": "hypertool"})},
    rules={},
    folders=set(),
    interface="v1",
    force=True,
    managed=False,
)
def test_foreign_things_stay(
    grafana: StandIn,
    tmp_path: Path,
    boards: dict[str, Any],
    rules: dict[str, Any],
    folders: set[str],
    interface: str,
    force: bool,
    managed: bool,
) -> None:
    """Random folders, dashboards and groups, some with our names or our label: pushed and pruned over twice, they are
    the same afterwards. With --force, only those that have the very name of one of our files are ours to take, and none
    that something else manages. The second push changes nothing."""
    grafana.reset(interface)
    for uid in folders | {folder for folder, _, _ in boards.values() if folder}:
        grafana.folders[uid] = {"title": uid, "annotations": {}}
    fill(grafana, boards, rules)
    folders_before, boards_before, rules_before = grafana.content()
    (tmp_path / "rules.yml").write_text(
        json.dumps(
            {"groups": [{"name": name, "rules": [{"alert": "A", "expr": "up == 0"}]} for name in ("one", "two")]}
        )
    )
    for uid in ("one", "two"):
        (tmp_path / f"{uid}.json").write_text(json.dumps({"uid": uid, "title": uid, "panels": []}))

    push(grafana, tmp_path, prune=True, force=force, managed=managed)
    after_first = grafana.content()
    second = push(grafana, tmp_path, prune=True, force=force, managed=managed)

    assert grafana.content() == after_first
    assert second.report.written == []
    _, boards_after, rules_after = after_first
    for uid, kept in boards_before.items():
        taken = force and uid in ("one", "two") and "grafana.app/managedBy" not in kept["annotations"]
        assert taken or boards_after[uid] == kept, uid
    for namespace, groups in rules_before.items():
        for name, kept in groups.items():
            ours = namespace == "hypertool" and name in ("one", "two")
            same = marked({**kept, "rules": kept["rules"]}) == rules_after[namespace].get(name)
            assert rules_after[namespace][name] == kept or (ours and (force or same)), name
    assert {uid: grafana.folders[uid] for uid in folders_before} == folders_before
