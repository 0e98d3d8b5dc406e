"""A node that has not been started, on a ledger with a clock that stands still, and a queue in a list."""

import pytest
from support.clocks import Clock
from support.flow import LEASE_S, PACS
from support.records import FakeQueue, open_ledger

from node.config import load_config
from node.flow.service import Node
from node.store.spool import Spool


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue():
    return FakeQueue()


@pytest.fixture
def ledger(tmp_path, clock):
    ledger = open_ledger(tmp_path, clock)
    yield ledger
    ledger.close()


@pytest.fixture
def node(tmp_path, ledger, queue):
    config = load_config(
        None,
        {
            "node": {"data": str(tmp_path), "port": 0},
            "queue": {"lease_s": LEASE_S, "max_attempts": 3},
            "assembly": {"quiet_s": 10, "deadline_s": 100},
            "destinations": [PACS],
        },
        {},
    )
    return Node(config, ledger, Spool(tmp_path / "spool"), queue)
