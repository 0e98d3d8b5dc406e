"""An empty ledger, and its clock."""

import pytest
from support.clocks import Clock
from support.records import open_ledger


@pytest.fixture
def clock():
    """The ledger's clock, which stands still."""
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    """An empty ledger on disk."""
    opened = open_ledger(tmp_path, clock)
    yield opened
    opened.close()
