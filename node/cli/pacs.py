"""A small PACS for demonstrations: it stores what it receives in a folder and answers C-ECHO, nothing more."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pynetdicom import evt

from node.dimse.entity import accepting_entity, receive_into
from node.errors import SpoolError
from node.store.spool import Spool, data_set_offset

log = logging.getLogger(__name__)


def serve_pacs(folder: Path, port: int, ae_title: str = "PACS", host: str = "127.0.0.1") -> Any:
    """Start a Storage SCP on a folder; return pynetdicom's server, whose ``shutdown`` stops it.

    It needs a process of its own: pynetdicom's setting for receiving to files applies to the whole process.

    Raises
    ------
    OSError
        If the port is not available.
    """
    spool = Spool(folder)

    def on_store(event: Any) -> int:
        try:
            stored = spool.accept(event.dataset_path, data_set_offset(event.dataset_path))
        except SpoolError:
            return 0xA700
        log.info("stored sop_instance=%s key=%s", event.request.AffectedSOPInstanceUID, stored.key)
        return 0x0000

    receive_into(spool.incoming)
    ae = accepting_entity(ae_title)
    return ae.start_server((host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])


def stored_files(folder: Path) -> list[Path]:
    """Return the files that a small PACS on this folder holds, oldest first."""
    return sorted((folder / "instances").glob("*/*.dcm"), key=lambda path: path.stat().st_mtime)
