"""A small PACS for demonstrations: stores what it is sent into a folder, answers C-ECHO, nothing more."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.presentation import AllStoragePresentationContexts

from node.errors import SpoolError
from node.listener import TRANSFER_SYNTAXES, VERIFICATION, data_set_offset
from node.spool import Spool

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

    _config.STORE_RECV_CHUNKED_DATASET = True
    tempfile.tempdir = str(spool.incoming)
    ae = AE(ae_title)
    ae.maximum_pdu_size = 131072
    ae.add_supported_context(VERIFICATION)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), list(TRANSFER_SYNTAXES))
    return ae.start_server((host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])


def stored_files(folder: Path) -> list[Path]:
    """What a small PACS over this folder holds, oldest first."""
    return sorted((folder / "instances").glob("*/*.dcm"), key=lambda path: path.stat().st_mtime)
