"""A user's own workflow, with personas of its own, while the real exporter runs: no service is restarted."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.exporter_process import running
from tests.support.hypertool_host import Host, wait_until

STAGES = ("plan", "design", "build", "review", "test", "document", "release", "verify")
PERSONAS = {"architect": 900, "release-captain": 700, "scribe": 400}


def declaration() -> str:
    text = "".join(f"[personas.{name}]\ntokens = {tokens}\n" for name, tokens in PERSONAS.items())
    text += '[workflows.ship_it]\ntoken_budget = 4000\nchatmode = "shipping"\n'
    for place, stage in enumerate(STAGES):
        persona = list(PERSONAS)[place % 3]
        text += f'[[workflows.ship_it.stages]]\nname = "{stage}"\npersona = "{persona}"\ntokens = 100\n'
    return text


def test_own_workflow_appears_without_a_restart(tmp_path: Path) -> None:
    """Eight stages and three personas are in labels at 0, in the dashboards' variables, in budgets and in `show`."""
    host = Host(tmp_path)
    with running(host) as exporter:
        assert 'workflow="ship_it"' not in exporter.text()
        host.config.write_text(declaration())
        wait_until(lambda: 'workflow="ship_it"' in exporter.text(), "the exporter to read the workflow", 10)
        served = exporter.scrape()
        for place, stage in enumerate(STAGES):
            persona = list(PERSONAS)[place % 3]
            for result in ("pass", "fail"):
                gate = f'{{result="{result}",stage="{stage}",workflow="ship_it"}}'
                assert served[f"hypertool_workflow_quality_gate_total{gate}"] == 0
            labels = f'{{persona="{persona}",stage="{stage}",workflow="ship_it"}}'
            assert served[f"hypertool_workflow_stage_duration_seconds_count{labels}"] == 0
            oldest = f'hypertool_workflow_stage_oldest_start_timestamp_seconds{{stage="{stage}",workflow="ship_it"}}'
            assert served[oldest] == 0
        for persona, tokens in PERSONAS.items():
            assert served[f'hypertool_persona_token_budget_remaining{{persona="{persona}"}}'] == tokens
            assert served[f'hypertool_persona_token_budget_limit{{persona="{persona}"}}'] == tokens
        shown = json.loads(host.hypertool("workflow", "show", "ship_it", "--json").stdout)
        assert [stage["name"] for stage in shown["stages"]] == list(STAGES)
        assert {name: budget["tokens"] for name, budget in shown["budgets"].items()} == PERSONAS
        assert host.hypertool("workflow", "ship_it").returncode == 0
        wait_until(
            lambda: exporter.scrape()[
                'hypertool_workflow_quality_gate_total{result="pass",stage="verify",workflow="ship_it"}'
            ],
            "the run to be served",
        )
        assert 'hypertool_label_overflow_total{label="workflow"} 0.0' in exporter.text()
    labels = json.loads(host.hypertool("labels", "--json").stdout)["labels"]
    assert [labels[name]["used"] for name in ("workflow", "stage", "chatmode")] == [0, 0, 0], "declared names are free"


def prompt_file() -> str:
    """The same workflow in the front matter of a prompt file alone, with the package's personas."""
    personas = ("backend-engineer", "testing-specialist", "devops-engineer")
    stages = "".join(f"  - {{name: {s}, persona: {personas[n % 3]}, tokens: 100}}\n" for n, s in enumerate(STAGES))
    head = "hypertool_enabled: true\nworkflow_name: ship_it\ntoken_budget: 4000\nchatmode: shipping\n"
    return f"---\n{head}stages:\n{stages}---\nShip it.\n"


def test_front_matter_workflow_appears_at_0(tmp_path: Path) -> None:
    """A workflow that only a prompt file beside the configuration declares is at 0, in `show` and free like any other.

    A change of the file is read, a broken one keeps what there was, and without the file the labels are gone.
    """
    host = Host(tmp_path)
    folder = host.config.with_suffix(".d")
    with running(host) as exporter:
        folder.mkdir()
        path = folder / "ship-it.prompt.md"
        path.write_text(prompt_file())
        wait_until(lambda: 'workflow="ship_it"' in exporter.text(), "the exporter to read the prompt file", 10)
        served = exporter.scrape()
        for stage in STAGES:
            gate = f'{{result="fail",stage="{stage}",workflow="ship_it"}}'
            assert served[f"hypertool_workflow_quality_gate_total{gate}"] == 0
        shown = json.loads(host.hypertool("workflow", "show", "ship_it", "--json").stdout)
        assert ([stage["name"] for stage in shown["stages"]], shown["source"]) == (list(STAGES), str(path))
        assert str(path) in host.hypertool("workflow", "lint").stdout
        assert host.hypertool("workflow", "ship_it").returncode == 0
        path.write_text(prompt_file().replace("token_budget", "token_bugdet"))
        assert exporter.process is not None
        assert exporter.process.stderr is not None
        said = exporter.process.stderr.readline() + exporter.process.stderr.readline()
        assert f"{path}:4: unknown key 'token_bugdet'" in said
        assert 'workflow="ship_it"' in exporter.text()
        assert host.hypertool("workflow", "list").returncode == 1
        path.write_text(prompt_file().replace("name: verify", "name: watch"))
        wait_until(lambda: 'stage="watch",workflow="ship_it"' in exporter.text(), "the changed file", 10)
    labels = json.loads(host.hypertool("labels", "--json").stdout)["labels"]
    assert [labels[name]["used"] for name in ("workflow", "chatmode")] == [0, 0], "declared names are free"


def test_broken_workflow_keeps_the_last_good_ones(tmp_path: Path) -> None:
    """A running exporter keeps what it had, says file, line and reason, and takes the corrected file."""
    host = Host(tmp_path)
    host.config.write_text(declaration())
    with running(host) as exporter:
        host.config.write_text(declaration().replace("tokens = 100", "tokens = 'x'", 1))
        line = declaration().splitlines().index("tokens = 100") + 1
        assert exporter.process is not None
        assert exporter.process.stderr is not None
        said = exporter.process.stderr.readline()
        assert "keeping the personas and workflows as they were" in said
        assert f"hypertool.toml:{line}: [workflows.ship_it] stage 1: tokens = 'x'" in said
        assert 'workflow="ship_it"' in exporter.text()
        host.config.write_text(declaration().replace("ship_it", "mended"))
        wait_until(lambda: 'workflow="mended"' in exporter.text(), "the corrected file")
        assert 'workflow="ship_it"' not in exporter.text()
