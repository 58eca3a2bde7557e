"""What each provider and framework sends is read as its documentation says: whole, as an object, streamed and cut."""

from __future__ import annotations

import pytest

from hypertool.llm import Missing, Usage, extract
from tests.llm import cloud_rows, provider_rows, recorded_rows
from tests.llm.encodings import fed
from tests.llm.provider_rows import Row
from tests.llm.test_shapes import as_object

WHOLE = provider_rows.WHOLE + cloud_rows.WHOLE + recorded_rows.WHOLE
STREAMS = provider_rows.STREAMS + cloud_rows.STREAMS + recorded_rows.STREAMS


def _expected(parts: tuple[int, ...] | str) -> Usage | Missing:
    return Missing(parts) if isinstance(parts, str) else Usage(*parts)  # type: ignore[arg-type]


def _name(row: Row) -> str:
    return row[0].replace(" ", "-")


@pytest.mark.parametrize("row", WHOLE, ids=_name)
def test_response_reads_as_documented(row: Row) -> None:
    """A response as a plain dict has the partition that was worked out from the provider's documentation."""
    assert extract(row[1]).usage == _expected(row[2])


@pytest.mark.parametrize("row", WHOLE, ids=_name)
def test_response_object_reads_as_its_dict(row: Row) -> None:
    """The same as an object of a class that is in no table."""
    assert extract(as_object(row[1])).usage == _expected(row[2])


@pytest.mark.parametrize("row", STREAMS, ids=_name)
def test_stream_adds_up_its_answers(row: Row) -> None:
    """A whole stream has the sum of its answers, each counted once."""
    assert fed(row[1]).finish().usage == _expected(row[2])


@pytest.mark.parametrize("row", [row for row in STREAMS if not isinstance(row[2], str)], ids=_name)
def test_cut_stream_never_gives_another_number(row: Row) -> None:
    """A stream that ends early is missing, or has the sum of the answers that had ended by then."""
    whole = _expected(row[2])
    assert isinstance(whole, Usage)
    for where in range(len(row[1])):
        reader = fed(row[1][:where])
        found = reader.finish(complete=False).usage
        assert isinstance(found, Missing) != reader.settled
        assert isinstance(found, Missing) or found.total <= whole.total
