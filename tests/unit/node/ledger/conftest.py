"""An empty ledger, and its clock."""

import pytest
from support.clocks import Clock
from support.records import open_ledger

from node.ledger.ledger import Ledger


@pytest.fixture
def clock():
    """The ledger's clock, which stands still."""
    return Clock()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def ledger(request, tmp_path, clock):
    """An empty ledger, on disk and in PostgreSQL."""
    if request.param == "sqlite":
        opened = open_ledger(tmp_path, clock)
    else:
        opened = Ledger(request.getfixturevalue("postgres").new_url(), clock)
    yield opened
    opened.close()
