"""`hypertool prices`: says where prices come from, and takes a newer table whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypertool.llm.pricing import generated
from tests.support.hypertool_host import Host


def _data(price: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": provider,
            "name": provider,
            "models": [{"id": model, "match": {"equals": model}, "prices": {"input_mtok": price, "output_mtok": 8}}],
        }
        for provider, model in (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("groq", "fast-one"))
    ]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A user without settings."""
    return Host(tmp_path)


def test_check_names_source_date_and_size(host: Host) -> None:
    """The shipped table has its source, its date and more than 2,000 models."""
    done = host.hypertool("prices", "check", "--json")
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    assert table["source"].startswith("genai-prices")
    assert table["models"] > 2000
    assert table["as_of"] == generated.load().as_of.isoformat()


def test_update_takes_a_downloaded_file(host: Host, tmp_path: Path) -> None:
    """After `prices update FILE`, a new process prices by it; each price says where it is from."""
    file = tmp_path / "data.json"
    file.write_text(json.dumps(_data(2)))
    done = host.hypertool("prices", "update", str(file))
    assert done.returncode == 0, done.stderr
    program = """
        import json
        from hypertool.llm import Usage, cost_of, unit_prices
        print(json.dumps([cost_of("fast-one", Usage(1000), provider="groq"), unit_prices("fast-one", "groq").source]))
    """
    assert host.json(program) == [2_000_000, "genai-prices, data.json"]
    assert "3 models of 3 providers" in host.hypertool("prices", "check").stdout


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "{}", json.dumps([{"id": "x", "models": []}]), json.dumps(_data("free"))],
    ids=["empty", "numbers", "object", "few_models", "no_number"],
)
def test_update_refuses_a_file_that_is_none(host: Host, tmp_path: Path, content: str) -> None:
    """A file that is not genai-prices' data is one clear line and exit 1, and the table in use stays."""
    file = tmp_path / "data.json"
    file.write_text(content)
    done = host.hypertool("prices", "update", str(file))
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert done.stderr.count("\n") == 1
    assert json.loads(host.hypertool("prices", "check", "--json").stdout)["tables"][0]["table"] == "package"


def test_update_without_a_source_says_what_to_do(host: Host) -> None:
    """Where genai-prices is not installed, the line names the package and the address of the file."""
    done = host.hypertool("prices", "update")
    assert done.returncode == 1
    assert "pip install genai-prices" in done.stderr
    assert "data.json" in done.stderr


def test_check_fails_on_a_broken_own_file(host: Host, tmp_path: Path) -> None:
    """A price file of one's own that cannot be used makes the check fail, with file and key."""
    own = tmp_path / "prices.toml"
    own.write_text("format = 1\n")
    done = host.hypertool("prices", "check", HYPERTOOL_PRICES=str(own))
    assert done.returncode == 1
    assert f"{own}: as_of" in done.stderr
