"""What the listener stores: the bytes as they were sent, each instance once, before it acknowledges them."""

import os
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
from support.listening import UID, files, kept
from support.wire import MG, PATIENT_NAME, STUDY, Sender, data_set, encode, split

from node.dimse.entity import ACCEPTED_SYNTAXES
from node.intake.intake import Policy


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
    assert (spool.path(instance.key), instance.size_bytes) == (path, len(sent))
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
    assert seen[0] == 1


def test_0x0000_comes_after_file_folder_and_ledger_are_synced(listener, ledger, monkeypatch):
    events = []
    real_register, real_sync = ledger.arrivals.register, os.fsync

    def register(instance, *facts, **options):
        assert listener.intake.spool.path(instance.key).exists()
        events.append("register")
        return real_register(instance, *facts, **options)

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


def test_the_same_instance_twice_is_acknowledged_and_entered_once(listener, spool, ledger):
    for _ in range(2):
        with Sender(listener.port) as sender:
            assert sender.store(encode(data_set())).Status == 0x0000
    assert len(kept(ledger)) == len(files(spool, "instances")) == 1
    assert ledger.arrivals.rejected() == []


def test_other_values_under_a_known_uid_take_its_place_and_both_are_kept(listener, spool, ledger):
    first, second = encode(data_set()), encode(data_set(ViewPosition="MLO"))
    with Sender(listener.port) as sender:
        assert sender.store(first).Status == 0x0000
        assert sender.store(second).Status == 0x0000
        assert sender.store(first).Status == 0x0000, "an older version again changes nothing"
    assert {split(path)[1] for path in files(spool, "instances")} == {first, second}
    assert ledger.arrivals.rejected() == []
    (instance,) = kept(ledger)
    assert split(spool.path(instance.key))[1] == second


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian),
    ],
)
def test_the_same_values_in_another_encoding_are_held_once(listener, spool, ledger, first, second):
    for syntax in (first, second):
        with Sender(listener.port, [syntax]) as sender:
            assert sender.store(encode(data_set(), syntax)).Status == 0x0000
    (instance,) = kept(ledger)
    assert instance.transfer_syntax_uid == first
    assert files(spool, "instances") == [spool.path(instance.key)]


def test_the_first_version_stays_where_it_is_asked_for(listen, spool, ledger):
    listener = listen(policy=Policy(duplicates="first"))
    first, second = encode(data_set()), encode(data_set(ViewPosition="MLO"))
    with Sender(listener.port) as sender:
        assert [sender.store(sent).Status for sent in (first, second, second)] == [0x0000] * 3
    (instance,) = kept(ledger)
    assert split(spool.path(instance.key))[1] == first
    assert len(files(spool, "instances")) == 2, "the other is kept, too"


@pytest.mark.parametrize("duplicates", ["newest", "first"])
def test_an_unreadable_first_version_yields_to_a_whole_one(listen, spool, ledger, duplicates):
    listener = listen(policy=Policy(duplicates=duplicates))
    whole = encode(data_set(Rows=20, Columns=20, BitsAllocated=16, SamplesPerPixel=1), pixels=bytes(800))
    with Sender(listener.port) as sender:
        assert sender.store(whole[:-300]).Status == 0x0000
        assert sender.store(whole).Status == 0x0000
    (instance,) = kept(ledger)
    assert split(spool.path(instance.key))[1] == whole


def test_reports_and_own_results_are_stored_and_open_no_job(listener, spool, ledger):
    report = "1.2.840.10008.5.1.4.1.1.88.67"
    with Sender(listener.port, classes=[report]) as sender:
        sent = encode(data_set(SOPClassUID=report, Modality="SR"))
        assert sender.store(sent, sop_class=report).Status == 0x0000
    assert ledger.jobs.find() == []
    assert len(files(spool, "instances")) == 1


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
    assert all(spool.path(instance.key).exists() for instance in kept(ledger))
