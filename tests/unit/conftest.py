"""Fixtures of the unit tests."""

import pytest
from support.records import open_ledger


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger on disk."""
    ledger = open_ledger(tmp_path)
    yield ledger
    ledger.close()
