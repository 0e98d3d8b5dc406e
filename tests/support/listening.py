"""What a listener has kept of what it was sent."""

from __future__ import annotations

import threading
from pathlib import Path

from pynetdicom.association import Association

from node.domain import Instance
from node.ledger.ledger import Ledger
from node.store.spool import Spool
from support.records import STUDY

UID = f"{STUDY}.2.1"
"""SOP Instance UID of what senders send unless they are told otherwise."""


def kept(ledger: Ledger) -> list[Instance]:
    """Return all instances that are in the ledger."""
    return [instance for job in ledger.jobs.find() for instance in ledger.arrivals.instances(job.job_id)]


def files(spool: Spool, kind: str) -> list[Path]:
    """Return the files of a folder of the spool, such as ``instances`` or ``rejected``."""
    return sorted((spool.folder / kind).rglob("*.dcm"))


def associations() -> list[Association]:
    """Return the associations that listeners of this process serve."""
    return [thread for thread in threading.enumerate() if isinstance(thread, Association) and thread.is_acceptor]
