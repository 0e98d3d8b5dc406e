"""The listener over real associations: what is answered, what lies on disk, what the ledger says."""

import logging
import os
import shutil
import struct
import subprocess
import tempfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
)
from pynetdicom import AE, _config
from sqlalchemy.exc import OperationalError
from support.peers import tool, wait_for
from support.wire import (
    MG,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY,
    Sender,
    data_set,
    encode,
    poll_often,
    split,
    write_file,
)

from node.config import Peer
from node.dimse.entity import ACCEPTED_SYNTAXES
from node.intake.intake import Intake
from node.intake.scp import Listener
from node.ledger.ledger import Ledger
from node.store.spool import Spool

UID = f"{STUDY}.2.1"


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory):
    """A migrated ledger's file, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    ledger = Ledger(f"sqlite:///{path}")
    ledger.upgrade()
    ledger.close()
    return path


@pytest.fixture
def ledger(tmp_path, empty_ledger):
    ledger = Ledger(f"sqlite:///{shutil.copy(empty_ledger, tmp_path)}")
    yield ledger
    ledger.close()


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


@pytest.fixture
def listen(spool, ledger, monkeypatch):
    """Start a listener with options; afterwards nothing may be left half received."""
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    poll_often(monkeypatch)
    started = []

    def start(**options):
        intake = Intake(spool, ledger, **{k: options.pop(k) for k in ["on_received"] if k in options})
        listener = Listener(intake, ae_title="FTMTL", **options)
        listener.port = listener.start("127.0.0.1", 0)
        started.append(listener)
        return listener

    yield start
    wait_for(lambda: not any(listener.open_studies() for listener in started))
    for listener in started:
        listener.stop()
    wait_for(lambda: list(spool.incoming.iterdir()) == [])


@pytest.fixture
def listener(listen):
    return listen()


def kept(ledger):
    return [instance for job in ledger.jobs.find() for instance in ledger.arrivals.instances(job.job_id)]


def files(spool, kind):
    return sorted((spool.folder / kind).rglob("*.dcm"))


# -- what is stored ------------------------------------------------------------------------------------------------


def test_answers_c_echo(listener):
    ae = AE("MODALITY")
    ae.add_requested_context("1.2.840.10008.1.1")
    assoc = ae.associate("127.0.0.1", listener.port)
    assert assoc.send_c_echo().Status == 0x0000
    assoc.release()


@pytest.mark.parametrize("syntax", ACCEPTED_SYNTAXES, ids=lambda uid: uid.removeprefix("1.2.840.10008.1."))
def test_keeps_the_bytes_that_were_sent(listener, spool, ledger, syntax):
    sent = encode(data_set(), syntax, b"\xff\xd8not a picture" * 100)
    with Sender(listener.port, [syntax]) as sender:
        assert sender.store(sent).Status == 0x0000
    (path,) = files(spool, "instances")
    meta, stored = split(path)
    assert stored == sent
    assert (meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (syntax, MG, UID)
    assert dcmread(path).PatientName == PATIENT_NAME
    (instance,) = kept(ledger)
    assert (instance.path, instance.size_bytes) == (path, len(sent))
    assert (instance.sop_instance_uid, instance.sop_class_uid, instance.study_uid) == (UID, MG, STUDY)
    assert (instance.transfer_syntax_uid, instance.modality, instance.calling_ae) == (syntax, "MG", "MODALITY")
    assert (instance.laterality, instance.view) == ("L", "CC")


def test_an_instance_of_many_pdus(listener, spool):
    sent = encode(data_set(), pixels=os.urandom(3_000_000))
    with Sender(listener.port) as sender:
        assert sender.store(sent).Status == 0x0000
    assert split(files(spool, "instances")[0])[1] == sent


def test_calls_on_received_after_the_ledger_knows(listen, ledger):
    seen = []
    listener = listen(on_received=lambda: seen.append(len(kept(ledger))))
    with Sender(listener.port) as sender:
        sender.store(encode(data_set()))
    assert seen == [1]


def test_0x0000_comes_after_file_folder_and_ledger_are_synced(listener, ledger, monkeypatch):
    events = []
    real_register, real_sync = ledger.arrivals.register, os.fsync

    def register(instance):
        assert instance.path.exists()
        events.append("register")
        return real_register(instance)

    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), real_sync(fd))[1])
    monkeypatch.setattr(ledger.arrivals, "register", register)
    with Sender(listener.port) as sender:
        sender.store(encode(data_set()))
        events.append("answer")
    assert events == ["sync", "sync", "sync", "register", "answer"], "file, the folder's name, the file's name"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([ImplicitVRLittleEndian, ExplicitVRLittleEndian], ExplicitVRLittleEndian),
        ([JPEGBaseline8Bit, ImplicitVRLittleEndian], ImplicitVRLittleEndian),
        ([JPEG2000, JPEG2000Lossless], JPEG2000Lossless),
        ([ImplicitVRLittleEndian, JPEGLosslessSV1], JPEGLosslessSV1),
        ([ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian], DeflatedExplicitVRLittleEndian),
        ([ExplicitVRBigEndian, ImplicitVRLittleEndian], ImplicitVRLittleEndian),
        (list(reversed(ACCEPTED_SYNTAXES)), ExplicitVRLittleEndian),
    ],
)
def test_prefers_explicit_then_lossless_and_lossy_last(listener, offered, chosen):
    with Sender(listener.port, offered) as sender:
        assert sender.transfer_syntax == chosen


# -- what comes twice ----------------------------------------------------------------------------------------------


def test_the_same_instance_twice_is_acknowledged_and_entered_once(listener, spool, ledger):
    for _ in range(2):
        with Sender(listener.port) as sender:
            assert sender.store(encode(data_set())).Status == 0x0000
    assert len(kept(ledger)) == len(files(spool, "instances")) == 1
    assert ledger.arrivals.rejected() == []


def test_the_same_uid_with_other_bytes_is_refused_and_both_are_kept_apart(listener, spool, ledger):
    first, second = encode(data_set()), encode(data_set(ViewPosition="MLO"))
    with Sender(listener.port) as sender:
        assert sender.store(first).Status == 0x0000
        answer = sender.store(second)
        assert sender.store(first).Status == 0x0000, "the first is still the one that is known"
    assert answer.Status == 0x0111
    assert "known with other content" in answer.ErrorComment
    assert [split(path)[1] for path in files(spool, "instances")] == [first]
    assert [split(path)[1] for path in files(spool, "rejected")] == [second]
    (instance,) = kept(ledger)
    assert instance.path == files(spool, "instances")[0]
    (row,) = ledger.arrivals.rejected()
    assert (row["status"], row["sop_instance_uid"], row["path"]) == (0x0111, UID, str(files(spool, "rejected")[0]))


def test_parallel_senders_meet_in_one_job(listener, spool, ledger):
    def send(first):
        with Sender(listener.port) as sender:
            numbers = range(first * 4, first * 4 + 5)  # the last is the next sender's first
            return [sender.store(encode(data_set(n)), f"{STUDY}.2.{n}").Status for n in numbers]

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(8)))
    assert {status for row in statuses for status in row} == {0x0000}
    assert len(ledger.jobs.find()) == 1
    assert sorted(i.sop_instance_uid for i in kept(ledger)) == sorted(f"{STUDY}.2.{n}" for n in range(33))
    assert len(files(spool, "instances")) == 33
    assert all(instance.path.exists() for instance in kept(ledger))


# -- what is refused -----------------------------------------------------------------------------------------------


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
        assert sender.store(encode(ds), uid).Status == 0x0117
    assert kept(ledger) == []
    (path,) = files(spool, "rejected")
    assert set(path.stem) <= set("0123456789abcdef")
    assert ledger.arrivals.rejected()[0]["sop_instance_uid"] == uid


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_an_invalid_study_uid_is_refused(listener):
    with Sender(listener.port) as sender:
        assert sender.store(encode(data_set(StudyInstanceUID="../study"))).Status == 0x0117


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


def test_a_disk_that_fails_is_a_processing_failure(listener, ledger, monkeypatch):
    def sync(folder):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("node.store.spool.sync_folder", sync)
    with Sender(listener.port) as sender:
        assert sender.store(encode(data_set())).Status == 0x0110
    assert kept(ledger) == []


def test_a_broken_ledger_is_a_processing_failure_and_the_sender_can_send_again(listener, spool, ledger, monkeypatch):
    def register(instance):
        raise OperationalError("INSERT", {}, Exception("disk I/O error"))

    sent = encode(data_set())
    with Sender(listener.port) as sender:
        with monkeypatch.context() as patch:
            patch.setattr(ledger.arrivals, "register", register)
            assert sender.store(sent).Status == 0x0110
        assert kept(ledger) == [], "it was not acknowledged"
        assert sender.store(sent).Status == 0x0000
    (instance,) = kept(ledger)
    assert split(instance.path)[1] == sent


# -- who may send --------------------------------------------------------------------------------------------------


def test_an_unknown_title_gets_no_association(listen):
    listener = listen(peers=[Peer(ae_title="CT1")])
    sender = Sender(listener.port, calling="STRANGER")
    assert sender.assoc.is_rejected
    with Sender(listener.port, calling="CT1") as known:
        assert known.store(encode(data_set())).Status == 0x0000


def test_a_known_title_from_another_address_is_not_authorised(listen, spool, ledger):
    listener = listen(peers=[Peer(ae_title="CT1", host="10.0.0.0/8"), Peer(ae_title="CT2")])
    with Sender(listener.port, calling="CT1") as sender:
        assert sender.store(encode(data_set())).Status == 0x0124
    assert (kept(ledger), files(spool, "instances"), files(spool, "rejected")) == ([], [], [])
    assert ledger.arrivals.rejected()[0]["status"] == 0x0124


def test_without_peers_only_this_machine_may_send(listener, ledger, monkeypatch):
    """The real address is loopback, so the test lends it another."""
    with Sender(listener.port) as sender:
        monkeypatch.setattr("pynetdicom.association.ServiceUser.address", "192.0.2.7")
        assert sender.store(encode(data_set())).Status == 0x0124
        monkeypatch.undo()


# -- associations --------------------------------------------------------------------------------------------------


def test_open_studies_follows_the_association(listener):
    with Sender(listener.port) as sender:
        assert listener.open_studies() == set(), "it has brought nothing yet"
        sender.store(encode(data_set()))
        assert listener.open_studies() == {STUDY}
        with Sender(listener.port) as other:
            other.store(encode(data_set(5, StudyInstanceUID="1.2.3")), f"{STUDY}.2.5")
            assert listener.open_studies() == {STUDY, "1.2.3"}
        wait_for(lambda: listener.open_studies() == {STUDY})
    wait_for(lambda: listener.open_studies() == set())


def test_an_aborted_association_is_closed(listener):
    with Sender(listener.port) as sender:
        sender.store(encode(data_set()))
        sender.assoc.abort()
    wait_for(lambda: listener.open_studies() == set())


def test_a_sender_that_leaves_before_its_answer_is_not_waited_for(listen, ledger, monkeypatch):
    """The connection is closed while its instance is being registered."""
    real, closed, hung_up = ledger.arrivals.register, [], []
    monkeypatch.setattr(Listener, "_on_close", lambda self, event: closed.append(event))

    def register(instance):
        wait_for(lambda: hung_up)
        return real(instance)

    monkeypatch.setattr(ledger.arrivals, "register", register)
    listener = listen()
    sender = Sender(listener.port)
    sender.post(encode(data_set()))
    wait_for(lambda: files(listener.spool, "instances"))
    sender.hang_up()
    wait_for(lambda: closed)
    hung_up.append(True)
    wait_for(lambda: kept(ledger))
    wait_for(lambda: listener.open_studies() == set())


def test_a_sender_that_leaves_halfway_leaves_nothing_behind(listener, spool):
    sender = Sender(listener.port)
    real, sent = sender.assoc.dul.socket.send, []

    def send(pdu):
        if len(sent) < 3:  # command, and two of the data set's many parts
            real(pdu)
        elif len(sent) == 3:
            wait_for(lambda: [path for path in spool.incoming.iterdir() if path.stat().st_size > 1000])
            sender.hang_up()
        sent.append(pdu)

    sender.assoc.dul.socket.send = send
    sender.post(encode(data_set(), pixels=bytes(3_000_000)))
    wait_for(lambda: len(sent) > 3)
    wait_for(lambda: list(spool.incoming.iterdir()) == [])
    assert files(spool, "instances") == []


@pytest.mark.filterwarnings("ignore:Expected explicit VR")
def test_the_log_names_no_patient(listener, caplog):
    caplog.set_level(logging.DEBUG, "node")
    with Sender(listener.port) as sender:
        sender.store(encode(data_set()))
        sender.store(encode(data_set(ViewPosition="MLO")))
        sender.store(encode(data_set(SOPInstanceUID="1.2.3")))
        sender.store(b"\x00" * 8 + PATIENT_NAME.encode() + PATIENT_ID.encode())
    text = "\n".join(logging.Formatter().format(record) for record in caplog.records if record.name.startswith("node"))
    assert f"sop_instance={UID}" in text
    assert "status=0x0111" in text
    for word in (*PATIENT_NAME.split("^"), PATIENT_ID):
        assert word not in text


def test_a_port_that_is_taken_is_an_os_error(listen, spool, ledger, listener):
    with pytest.raises(OSError, match="in use"):
        Listener(Intake(spool, ledger), ae_title="SECOND").start("127.0.0.1", listener.port)


# -- dcmtk ---------------------------------------------------------------------------------------------------------


def call(name, port, *arguments):
    """Run one of dcmtk's tools against the listener; return what it did and said."""
    command = [tool(name), "-v", "-aet", "MODALITY", "-aec", "FTMTL", "127.0.0.1", str(port), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)


@pytest.mark.peer
def test_dcmtk_echoes(listener):
    done = call("echoscu", listener.port)
    assert done.returncode == 0, done.stdout


@pytest.mark.peer
def test_dcmtk_stores(listener, ledger, tmp_path):
    path = write_file(tmp_path / "sent.dcm", encode(data_set()))
    done = call("storescu", listener.port, "-R", str(path))
    assert done.returncode == 0, done.stdout
    (instance,) = kept(ledger)
    assert instance.transfer_syntax_uid == ExplicitVRLittleEndian
    assert dcmread(instance.path) == dcmread(path)


@pytest.mark.peer
def test_dcmtk_is_told_of_a_conflict(listener, ledger, tmp_path):
    with Sender(listener.port) as sender:
        sender.store(encode(data_set()))
    path = write_file(tmp_path / "other.dcm", encode(data_set(ViewPosition="MLO")))
    assert "0x111" in call("storescu", listener.port, str(path)).stdout
    assert len(ledger.arrivals.rejected()) == 1
