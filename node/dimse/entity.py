"""Application Entities: every AE of the node, for receiving or for sending, is created here.

pynetdicom's process-wide settings are made here, too.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.presentation import AllStoragePresentationContexts

from node.identity import IMPLEMENTATION_CLASS_UID, implementation_version_name

VERIFICATION = "1.2.840.10008.1.1"

ACCEPTED_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.203",  # HTJ2K
)
"""In order of preference: the first one that a sender proposes is accepted, so the lossy ones come last."""

RESULT_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""Proposed for all result objects: the one that their files are in, and the default one (PS3.5 10.1)."""

MAX_PDU_BYTES = 131072


_config.LOG_HANDLER_LEVEL = "none"  # a text per PDU that nobody reads
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # whoever uses it says what its errors mean for the node


def accepting_entity(ae_title: str) -> AE:
    """Return an AE for a Storage SCP, with its presentation contexts, transfer syntaxes and timeouts.

    Whoever serves it limits the number of associations.
    """
    ae = _entity(ae_title)
    ae.maximum_associations = sys.maxsize
    ae.acse_timeout = 5
    ae.dimse_timeout = 120
    ae.add_supported_context(VERIFICATION)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), list(ACCEPTED_SYNTAXES))
    return ae


def requesting_entity(ae_title: str, contexts: Iterable[tuple[str, str]], *, dimse_timeout_s: float = 120) -> AE:
    """Return an AE that requests associations, with its presentation contexts and timeouts.

    Parameters
    ----------
    contexts
        Pairs of SOP Class UID and Transfer Syntax UID; one presentation context is proposed per pair.
    dimse_timeout_s
        How long to wait for the response to a message, in seconds.
    """
    ae = _entity(ae_title)
    ae.connection_timeout = 10
    ae.acse_timeout = 30
    ae.dimse_timeout = dimse_timeout_s
    for sop_class, syntax in dict.fromkeys(contexts):
        ae.add_requested_context(sop_class, syntax)
    return ae


def sending_entity(ae_title: str, sop_classes: Iterable[str]) -> AE:
    """Return an AE that sends result objects of the given SOP classes."""
    return requesting_entity(ae_title, ((uid, syntax) for uid in sop_classes for syntax in RESULT_SYNTAXES))


def receive_into(folder: Path) -> None:
    """Make pynetdicom write the data sets that this process receives straight to files in a folder, undecoded."""
    _config.STORE_RECV_CHUNKED_DATASET = True
    tempfile.tempdir = str(folder)  # pynetdicom writes there; a rename needs the same file system


def send_from_files() -> None:
    """Make pynetdicom send files as they are, in chunks, without reading them whole."""
    _config.STORE_SEND_CHUNKED_DATASET = True


def _entity(ae_title: str) -> AE:
    ae = AE(ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = implementation_version_name()
    ae.maximum_pdu_size = MAX_PDU_BYTES
    return ae
