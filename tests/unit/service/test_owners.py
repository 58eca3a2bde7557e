"""The exporter notices a namespace in which it cannot tell members apart."""

from __future__ import annotations

import pytest

from hypertool.service.owners import owners_are_distinct


@pytest.mark.parametrize(
    ("uid_map", "distinct"),
    [
        ("         0          0 4294967295\n", True),
        ("0 0 1\n999 999 1\n", False),
        ("0 100000 65536\n", False),
        ("", False),
    ],
)
def test_owners_in_a_namespace(uid_map: str, distinct: bool) -> None:
    """PrivateUsers= maps root and the service's user alone: every member's files then have one owner."""
    assert owners_are_distinct(uid_map) is distinct
