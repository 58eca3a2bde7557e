"""What the files of the pipeline promise by their text alone; needs no Alloy."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.alloy.syntax import Block, parse
from tests.support.loaded import loaded

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "alloy"
DESTINATIONS = sorted(FOLDER.glob("destination_*.alloy"))
#: The other choice beside delta_refused.alloy, with an experimental component.
EXPERIMENTAL = FOLDER / "delta_converted.alloy"
COMMON = sorted(set(FOLDER.glob("*.alloy")) - {*DESTINATIONS, EXPERIMENTAL})
BLOCKS = {path.name: parse(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.alloy")}

#: Generally available by their registration in Alloy 1.18 (`Stability: StabilityGenerallyAvailable`). Add one only
#: after looking it up there: any other stability would need a flag that loosens the whole process.
GENERALLY_AVAILABLE = {
    "logging",
    "http",
    "local.file",
    "discovery.file",
    "discovery.relabel",
    "prometheus.scrape",
    "prometheus.exporter.unix",
    "prometheus.exporter.self",
    "prometheus.relabel",
    "prometheus.remote_write",
    "loki.relabel",
    "loki.source.journal",
    "loki.write",
    "otelcol.receiver.otlp",
    "otelcol.processor.filter",
    "otelcol.processor.memory_limiter",
    "otelcol.processor.transform",
    "otelcol.exporter.prometheus",
    "otelcol.exporter.loki",
    "otelcol.exporter.otlphttp",
    "otelcol.auth.basic",
}
#: Arguments and blocks inside generally available components that are not (Alloy 1.18).
EXPERIMENTAL_PARTS = {
    "loki.write": {"queue_config", "wal"},
    "prometheus.remote_write": {"protobuf_message"},
    "prometheus.scrape": {"honor_metadata", "enable_type_and_unit_labels", "start_timestamp_zero_ingestion"},
    "otelcol.exporter.prometheus": {
        "honor_metadata",
        "convert_classic_histograms_to_nhcb",
        "start_timestamp_zero_ingestion",
    },
}
SECRETS = {"password", "bearer_token", "credentials", "client_secret", "key_pem", "secret_key", "token", "auth_token"}


def everything(name: str) -> list[Block]:
    return [inner for block in BLOCKS[name] for inner in block.everything()]


def variables(text: str) -> set[str]:
    return set(re.findall(r"HYPERTOOL_ALLOY_[A-Z_]+", text))


def test_read_variables_are_the_documented_ones() -> None:
    """The files read exactly the variables that are documented."""
    read = {
        name
        for path in FOLDER.glob("*.alloy")
        for name in re.findall(r'sys\.env\("(\w+)"\)', path.read_text(encoding="utf-8"))
    }
    table = re.findall(r"^\| (`HYPERTOOL.*?) \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert read == set().union(*map(variables, table))


def test_derived_outage_settings_are_the_read_ones() -> None:
    """What the outage budget derives is exactly what the files read."""
    module = loaded(ROOT / "ansible/filter_plugins/outage_budget.py")
    read = {name for path in FOLDER.glob("*.alloy") for name in variables(path.read_text(encoding="utf-8"))}
    assert set(module.outage_settings("8h")["environment"]) <= read


@pytest.mark.parametrize("name", sorted(BLOCKS.keys() - {EXPERIMENTAL.name}))
def test_only_what_is_generally_available_is_used(name: str) -> None:
    assert {block.kind for block in BLOCKS[name]} <= GENERALLY_AVAILABLE
    for component in BLOCKS[name]:
        inside = list(component.everything())
        used = {attribute for block in inside for attribute in block.attributes} | {block.kind for block in inside}
        assert used & EXPERIMENTAL_PARTS.get(component.kind, set()) == set(), component.kind


@pytest.mark.parametrize("destination", DESTINATIONS, ids=lambda path: path.stem)
def test_names_are_unique_in_one_configuration(destination: Path) -> None:
    """No two files of one configuration define the same component."""
    names = Counter((block.kind, block.label) for path in [*COMMON, destination] for block in BLOCKS[path.name])
    assert [name for name, count in names.items() if count > 1] == []


def test_host_and_collector_are_filtered() -> None:
    """Their metrics pass the list of what is used; those of applications go straight on."""
    receivers = {
        name: {block.attributes["forward_to"] for block in everything(name) if block.kind == "prometheus.scrape"}
        for name in ("host.alloy", "self.alloy", "metrics.alloy")
    }
    kept, straight = "[prometheus.relabel.kept.receiver]", "[prometheus.remote_write.destination.receiver]"
    assert receivers == {"host.alloy": {kept}, "self.alloy": {kept}, "metrics.alloy": {straight}}


def test_both_choices_for_delta_have_one_entrance() -> None:
    """otlp.alloy sends metrics to one name; what is experimental is in one file, which is not the default."""
    for name in ("delta_refused.alloy", EXPERIMENTAL.name):
        assert ("otelcol.processor.filter", "delta") in {(block.kind, block.label) for block in BLOCKS[name]}
    assert {block.kind for block in BLOCKS[EXPERIMENTAL.name]} - GENERALLY_AVAILABLE == {
        "otelcol.processor.deltatocumulative"
    }


def test_every_destination_has_the_same_entrances() -> None:
    entrances = {
        ("prometheus.remote_write", "destination"),
        ("loki.write", "destination"),
        ("otelcol.exporter.otlphttp", "destination"),
    }
    assert len(DESTINATIONS) >= 2
    for path in DESTINATIONS:
        assert entrances <= {(block.kind, block.label) for block in BLOCKS[path.name]}, path.name


def test_every_destination_keeps_and_retries_alike() -> None:
    """The files cannot share a block, so that they do not drift apart is held here."""
    shared = {"queue_config", "wal", "sending_queue", "batch", "retry_on_failure"}
    kept = {
        path.name: [(block.kind, block.attributes) for block in everything(path.name) if block.kind in shared]
        for path in DESTINATIONS
    }
    backoff = {
        path.name: [
            {key: value for key, value in block.attributes.items() if "back" in key or "retry" in key}
            for block in everything(path.name)
            if block.kind == "endpoint"
        ]
        for path in DESTINATIONS
    }
    first = DESTINATIONS[0].name
    assert len(kept[first]) == len(shared)
    assert all(kept[path.name] == kept[first] and backoff[path.name] == backoff[first] for path in DESTINATIONS)


@pytest.mark.parametrize("path", DESTINATIONS, ids=lambda path: path.stem)
def test_nothing_is_given_up_by_time_or_by_count(path: Path) -> None:
    by_kind = {block.kind: block.attributes for block in everything(path.name)}
    (loki,) = (block for block in BLOCKS[path.name] if block.kind == "loki.write")
    assert by_kind["retry_on_failure"]["max_elapsed_time"] == '"0s"'
    assert by_kind["sending_queue"]["block_on_overflow"] == "true"
    assert "sample_age_limit" not in by_kind["queue_config"]
    assert loki.blocks[0].attributes["max_backoff_retries"] == "0"
    ceilings = [by_kind["retry_on_failure"]["max_interval"], loki.blocks[0].attributes["max_backoff_period"]]
    assert all(int(ceiling.strip('"s')) <= 15 for ceiling in ceilings), "recovery must not wait for a long back-off"


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_no_secret_is_an_argument(name: str) -> None:
    """A value from the environment would stand in /proc, in a unit file or in a bundle; a file does not."""
    for block in everything(name):
        given = {key for key, value in block.attributes.items() if "(local.file." not in value}
        assert given & SECRETS == set(), f"{name}: {block.kind}; use the argument that takes a file"


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_nothing_listens_but_where_it_is_told_to(name: str) -> None:
    inside = [inner for block in BLOCKS[name] for part in block.blocks for inner in part.everything()]
    for block in inside:
        if block.kind in ("grpc", "http"):
            assert block.attributes["endpoint"].startswith('sys.env("HYPERTOOL_ALLOY_LISTEN")+')


def test_reader_knows_nested_blocks_and_comments() -> None:
    """The reader of these files understands nested blocks, comments and strings."""
    (block,) = parse('a.b "c" { // x = { \n\td = {\n"e" = "}"}["e"]\n\tf {\n\t\tg = [1,\n2]\n\t}\n\th { }\n}\n')
    assert (block.kind, block.label, block.attributes) == ("a.b", "c", {"d": '{"e"="}"}["e"]'})
    assert [(inner.kind, inner.attributes) for inner in block.blocks] == [("f", {"g": "[1,2]"}), ("h", {})]
    with pytest.raises(ValueError, match="does not end"):
        parse('a "b" {\n')


def statements(context: str, signal: str) -> str:
    [transform] = [block for block in BLOCKS["otlp.alloy"] if block.kind == "otelcol.processor.transform"]
    return " ".join(
        block.attributes["statements"]
        for block in transform.blocks
        if block.kind == signal and block.attributes["context"] == f'"{context}"'
    )


@pytest.mark.parametrize(
    ("key", "dropped"),
    [
        ("prompt", True),
        ("gen_ai.prompt", True),
        ("gen_ai.input.messages", True),
        ("response_text", True),
        ("tool_parameters", True),
        ("function_args", True),
        ("tool.output", True),
        ("tool.parameters", True),
        ("gen_ai.tool.call.result", True),
        ("user_prompt", True),
        ("gen_ai.system_instructions", True),
        ("tool_result", True),
        ("error_message", True),
        ("commands", True),
        ("result", False),
        ("tool_name", False),
        ("error.type", False),
        ("prompt_id", False),
        ("prompt.id", False),
        ("model", False),
        ("input_token_count", False),
        ("output_tokens", False),
        ("session.id", False),
        ("request_id", False),
    ],
)
def test_content_of_agents_logs_is_dropped(key: str, dropped: bool) -> None:
    """What agents log of prompts, answers and tools goes; ids, models and figures stay."""
    [pattern] = re.findall(r'delete_matching_keys\(attributes,\s*"([^"]+)"\)', statements("log", "log_statements"))
    assert bool(re.search(pattern, key)) is dropped


@pytest.mark.parametrize(
    ("key", "dropped"),
    [("ai.prompt.messages", True), ("ai.response.text", True), ("ai.toolCall.args", True), ("ai.model.id", False),
     ("ai.usage.promptTokens", False), ("gen_ai.response.id", False)],
)  # fmt: skip
def test_prompts_in_agents_spans_are_dropped(key: str, dropped: bool) -> None:
    """Prompts and answers in spans of agents go; usage and ids stay."""
    [pattern] = re.findall(r'delete_matching_keys\(attributes,\s*"([^"]+)"\)', statements("span", "trace_statements"))
    assert bool(re.search(pattern.replace("\\\\", "\\"), key)) is dropped


def test_logs_need_an_address() -> None:
    """OTLP logs go to Loki where it has an address, and are refused otherwise, as traces are."""
    [receiver] = [block for block in BLOCKS["otlp.alloy"] if block.kind == "otelcol.receiver.otlp"]
    [output] = [block for block in receiver.blocks if block.kind == "output"]
    assert "HYPERTOOL_ALLOY_LOGS_URL" in output.attributes["logs"]
    assert ("otelcol.exporter.loki", "otlp") in {(block.kind, block.label) for block in BLOCKS["otlp.alloy"]}
