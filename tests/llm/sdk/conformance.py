"""Every row of the table, read by the real SDKs' classes. Run in the SDKs' own environment by test_conformance.py."""

from __future__ import annotations

import pytest
import rows_amazon
import rows_anthropic
import rows_google
import rows_langchain
import rows_litellm
import rows_mistral
import rows_openai
from table import Row

ROWS = [
    row
    for module in (rows_openai, rows_anthropic, rows_google, rows_amazon, rows_mistral, rows_litellm, rows_langchain)
    for row in module.ROWS
]


def test_every_row_has_a_name_of_its_own() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_partition_is_the_one_worked_out_by_hand(row: Row) -> None:
    reading = row.read()
    assert reading.usage == row.expected(), "tokens"
    assert (reading.model, reading.provider) == (row.model, row.provider)
    assert reading.finish_reasons == row.reasons
    assert reading.service_tier == row.tier
