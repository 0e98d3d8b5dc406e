"""What the listener refuses, and whom: the status it answers, and what it keeps all the same."""

import shutil
import struct
from collections import namedtuple

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from sqlalchemy.exc import OperationalError
from support.listening import UID, files, kept
from support.raw import NOT_RECOGNISED, rejection
from support.wire import MG, STUDY, Sender, data_set, encode, split

from node.settings import Peer


def element(group, number, vr, value):
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


OPEN_SEQUENCE = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"

BAD_BYTES = {
    "zeros": b"\x00" * 64,
    "noise": bytes(range(256)),
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "ends within an element": encode(data_set())[:30],
    "UID of the wrong type": element(8, 0x16, b"UI", MG.encode()) + element(8, 0x18, b"FD", b"123"),
    "unknown VR": element(8, 0x16, b"UI", MG.encode()) + element(8, 0x18, b"??", b"1.2 "),
    "endless sequence": OPEN_SEQUENCE,
    "sequences in sequences without end": OPEN_SEQUENCE * 3000,
}


@pytest.mark.filterwarnings("ignore:(Expected explicit VR|Invalid value for VR UI)")
@pytest.mark.parametrize("bad", BAD_BYTES.values(), ids=BAD_BYTES)
def test_what_cannot_be_parsed_is_refused_and_kept_apart(listener, spool, ledger, bad):
    with Sender(listener.port) as sender:
        assert sender.store(bad).Status == 0xC000
        assert sender.store(encode(data_set(2)), f"{STUDY}.2.2").Status == 0x0000, "and the association goes on"
    (row,) = ledger.arrivals.rejected()
    assert row["status"] == 0xC000
    assert [split(path)[1] for path in files(spool, "rejected")] == [bad]
    assert len(kept(ledger)) == 1


def test_damaged_deflation_is_refused(listener, ledger):
    with Sender(listener.port, [DeflatedExplicitVRLittleEndian]) as sender:
        assert sender.store(b"\xff" * 100).Status == 0xC000


@pytest.mark.parametrize("missing", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"])
def test_a_uid_that_is_missing_is_refused(listener, missing):
    with Sender(listener.port) as sender:
        assert sender.store(encode(data_set(**{missing: ""}))).Status == 0xC000


@pytest.mark.parametrize(
    "values",
    [{"SOPInstanceUID": f"{STUDY}.2.9"}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, {"SOPInstanceUID": [UID, UID]}],
)
def test_a_data_set_that_is_not_what_the_request_says_is_refused(listener, spool, ledger, values):
    with Sender(listener.port) as sender:
        assert sender.store(encode(data_set(**values))).Status == 0xA900
    assert (len(files(spool, "rejected")), len(ledger.arrivals.rejected()), kept(ledger)) == (1, 1, [])


@pytest.mark.parametrize("uid", ["../../etc/x", "/etc/passwd", "1.2.03", "1..2", "1.2.x", "1.2\n.3"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_an_invalid_uid_is_refused_and_reaches_no_path(listener, spool, ledger, uid):
    ds = data_set()
    ds.SOPInstanceUID = uid
    with Sender(listener.port) as sender:
        assert sender.store(encode(ds), uid).Status == 0xC000
    assert kept(ledger) == []
    (path,) = files(spool, "rejected")
    assert set(path.stem) <= set("0123456789abcdef")
    assert ledger.arrivals.rejected()[0]["sop_instance_uid"] == uid


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_an_invalid_study_uid_is_refused(listener):
    with Sender(listener.port) as sender:
        assert sender.store(encode(data_set(StudyInstanceUID="../study"))).Status == 0xC000


@pytest.mark.filterwarnings("ignore:(Invalid value|The value length)")
def test_odd_values_that_nobody_needs_are_no_reason_to_refuse(listener, ledger):
    odd = data_set(Modality="A MODALITY OF MORE THAN SIXTEEN LETTERS", SeriesInstanceUID="x" * 100, ViewPosition="?")
    with Sender(listener.port) as sender:
        assert sender.store(encode(odd)).Status == 0x0000
    (instance,) = kept(ledger)
    assert len(instance.modality) <= 16, "as the column is wide"
    assert len(instance.series_uid) <= 64


def test_a_full_disk_is_out_of_resources(listener, spool, ledger, monkeypatch):
    usage = namedtuple("usage", "total used free")
    spool.min_free_bytes = 1000
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10_000, 9_500, 500))
    with Sender(listener.port) as sender:
        answer = sender.store(encode(data_set()))
        assert answer.Status == 0xA700
        assert "free" in answer.ErrorComment
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10_000, 0, 10_000))
        assert sender.store(encode(data_set())).Status == 0x0000
    assert len(kept(ledger)) == 1


def test_a_disk_that_fails_is_out_of_resources(listener, ledger, monkeypatch):
    def sync(folder):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("node.store.spool.sync_folder", sync)
    with Sender(listener.port) as sender:
        assert sender.store(encode(data_set())).Status == 0xA700
    assert kept(ledger) == []


def test_a_broken_ledger_is_out_of_resources_and_the_sender_can_send_again(listener, spool, ledger, monkeypatch):
    def register(*_, **__):
        raise OperationalError("INSERT", {}, Exception("disk I/O error"))

    sent = encode(data_set())
    with Sender(listener.port) as sender:
        with monkeypatch.context() as patch:
            patch.setattr(ledger.arrivals, "register", register)
            assert sender.store(sent).Status == 0xA700
        assert kept(ledger) == [], "it was not acknowledged"
        assert sender.store(sent).Status == 0x0000
    (instance,) = kept(ledger)
    assert split(spool.path(instance.key))[1] == sent


def test_an_unknown_title_gets_no_association(listen):
    listener = listen(peers=[Peer(ae_title="CT1")])
    assert rejection(listener.port, "STRANGER") == NOT_RECOGNISED
    with Sender(listener.port, calling="CT1") as known:
        assert known.store(encode(data_set())).Status == 0x0000


def test_a_known_title_from_another_address_gets_no_association(listen, spool, ledger):
    listener = listen(peers=[Peer(ae_title="CT1", host="10.0.0.0/8"), Peer(ae_title="CT2")])
    assert rejection(listener.port, "CT1") == NOT_RECOGNISED
    with Sender(listener.port, calling="CT2") as known:
        assert known.store(encode(data_set())).Status == 0x0000
