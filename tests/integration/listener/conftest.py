"""A listener on a free port, with a ledger and a spool of its own."""

import pytest
from support.peers import wait_for
from support.records import open_ledger

from node.intake.intake import Intake
from node.intake.scp import Listener
from node.store.spool import Spool


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger on disk."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def spool(tmp_path):
    """An empty spool."""
    return Spool(tmp_path / "spool")


@pytest.fixture
def listen(spool, ledger):
    """Start a listener with options; afterwards nothing may be left half received."""
    started = []

    def start(**options):
        host = options.pop("host", "127.0.0.1")
        intake = Intake(spool, ledger, **{k: options.pop(k) for k in ["on_received", "policy"] if k in options})
        listener = Listener(intake, ae_title="FTMTL", **options)
        listener.port = listener.start(host, 0)
        started.append(listener)
        return listener

    yield start
    wait_for(lambda: not any(listener.intake.ledger.associations.open_studies() for listener in started))
    for listener in started:
        listener.stop()
    wait_for(lambda: list(spool.incoming.iterdir()) == [])


@pytest.fixture
def listener(listen):
    """A running listener that takes everything from this machine."""
    return listen()
