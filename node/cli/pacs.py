"""A small PACS for demonstrations: stores what it is sent into a folder, answers C-ECHO, nothing more."""

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
    """Start a storage SCP over a folder; returns pynetdicom's server, whose ``shutdown`` stops it.

    It needs a process of its own: pynetdicom's way of writing what arrives is set for all of one.

    Raises
    ------
    OSError
        If the port cannot be had.
    """
    spool = Spool(folder)

    def on_store(event: Any) -> int:
        try:
            stored = spool.accept(event.dataset_path, data_set_offset(event.dataset_path))
        except SpoolError:
            return 0xA700
        log.info("stored sop_instance=%s path=%s", event.request.AffectedSOPInstanceUID, stored.path)
        return 0x0000

    receive_into(spool.incoming)
    ae = accepting_entity(ae_title)
    return ae.start_server((host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])


def stored_files(folder: Path) -> list[Path]:
    """What a small PACS over this folder holds, oldest first."""
    return sorted((folder / "instances").glob("*/*.dcm"), key=lambda path: path.stat().st_mtime)
