"""The command `hypertool labels`."""

from __future__ import annotations

import json

from tests.support.hypertool_host import Host

RECORD = """
from hypertool import get_persona_metrics
for number in range({0}):
    get_persona_metrics().record_token_usage("backend", "default", f"mine-{{number}}", 1)
"""


def test_labels_lists_names_with_user_and_time(host: Host) -> None:
    """What is admitted is listed by label, with who brought it and when, as text and as JSON."""
    assert host.python(RECORD.format(2)).returncode == 0
    shown = host.hypertool("labels").stdout
    assert "mine-0" in shown
    assert "full" not in shown
    model = json.loads(host.hypertool("labels", "--json").stdout)["labels"]["model"]
    assert (model["used"], model["limit"]) == (2, 64)
    assert [name["name"] for name in model["names"]] == ["mine-0", "mine-1"]
    assert all(name["user"] and name["since"] for name in model["names"])


def test_labels_free_makes_room_for_another(host: Host) -> None:
    """A full label is reported as full, and a freed name makes room for the next one; its numbers stay."""
    assert host.python(RECORD.format(65)).returncode == 0
    assert "full: model" in host.hypertool("labels").stdout
    assert host.store.fold() == 1
    assert host.hypertool("labels", "--free", "model", "mine-3").returncode == 0
    assert host.python(RECORD.format(0) + RECORD.format(1).replace("mine", "new")).returncode == 0
    models = {key[2]: value for key, value in host.counters("tok").items()}
    assert (models["new-0"], models["mine-3"], models["other"]) == (1, 1, 1)


def test_labels_free_of_what_is_not_listed_is_an_error(host: Host) -> None:
    """An unknown label names the known ones; an unknown name says where to look."""
    done = host.hypertool("labels", "--free", "model", "nothing")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "'nothing' is not on the host's list" in done.stderr
    done = host.hypertool("labels", "--free", "colour", "x")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "chatmode, workflow, stage, model, persona" in done.stderr
