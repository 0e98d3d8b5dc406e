"""The disk fails, or a sender ends, in the middle of an image: a status, no half file, and the next image is served."""

import errno
import os
import resource
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest
from support.listening import associations, kept
from support.peers import wait_for
from support.raw import (
    ABORT,
    RELEASE,
    VERIFICATION,
    RawSender,
    c_echo,
    c_store,
    command,
    p_data,
    request,
)
from support.wire import STUDY, Sender, data_set, encode

from node.intake.intake import Intake
from node.intake.scp import Listener
from node.store.spool import Spool

LARGE = bytes(3_000_000)
SECOND = f"{STUDY}.2.2"


def incoming(spool):
    return list(spool.incoming.iterdir())


@pytest.fixture
def small_folder(tmp_path):
    """A file system of two megabytes; where none can be mounted, a folder in which no file may be larger than that."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, usual[1]))
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.fixture
def small_disk(small_folder, ledger, listen):
    """A listener with its spool on a small disk."""
    listener = Listener(Intake(Spool(small_folder / "spool"), ledger), ae_title="FTMTL")
    listener.port = listener.start("127.0.0.1", 0)
    yield listener
    listener.stop()


def test_a_disk_that_fills_in_the_middle_of_an_image(small_disk, ledger):
    """The large one is refused and leaves nothing, and the small one is stored, over the same association."""
    spool = small_disk.intake.spool
    with Sender(small_disk.port) as sender:
        answer = sender.store(encode(data_set(), pixels=LARGE))
        assert answer.Status == 0xA700
        assert answer.ErrorComment in (os.strerror(errno.ENOSPC), os.strerror(errno.EFBIG))
        assert incoming(spool) == []
        assert sender.store(encode(data_set(2)), SECOND).Status == 0x0000
    assert [instance.sop_instance_uid for instance in kept(ledger)] == [SECOND]


def test_the_half_file_is_gone_before_the_image_ends(small_disk):
    spool = small_disk.intake.spool
    with RawSender(small_disk.port, request()) as sender:
        sender.command(c_store())
        for _ in range(30):
            sender.send(p_data(bytes(100_000), last=False))
        wait_for(lambda: incoming(spool) == [])
        sender.command(c_echo(), 3)  # only now is it known that everything was read: in the middle, so it ends
        assert sender.pdu()[:1] == b"\x07"


@pytest.mark.parametrize("gone", [True, False], ids=["before", "in the middle of"])
def test_the_folder_of_incoming_files_vanishes(listener, spool, ledger, gone):
    with RawSender(listener.port, request()) as sender:
        if gone:
            shutil.rmtree(spool.incoming)
        sender.command(c_store())
        sender.send(p_data(encode(data_set()), last=False))
        if not gone:
            wait_for(lambda: incoming(spool))
            shutil.rmtree(spool.incoming)
        sender.send(p_data(b""))
        assert sender.status() == (0x0000 if gone else 0xA700)
        sender.command(c_store())
        sender.send(p_data(encode(data_set())))
        assert sender.status() == 0x0000
    assert len(kept(ledger)) == 1


def test_a_spool_that_vanishes_is_not_made_anew(listener, spool, ledger, tmp_path):
    """It may be a file system that is not mounted at the moment."""
    spool.folder.rename(tmp_path / "elsewhere")
    with Sender(listener.port) as sender:
        assert sender.store(encode(data_set())).Status == 0xA700
        assert not spool.folder.exists()
        (tmp_path / "elsewhere").rename(spool.folder)
        assert sender.store(encode(data_set())).Status == 0x0000


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE])
@pytest.mark.parametrize("when", ["created", "opened again", "read"])
def test_whatever_the_disk_fails_with_is_out_of_resources(listener, ledger, monkeypatch, number, when):
    """Also when the file is read again: what the disk does is not the sender's fault."""
    real = Path.open

    def fail(*_):
        raise OSError(number, os.strerror(number))

    def open_(path, mode="r", *args, **options):
        if path.suffix == ".dcm" and ("x" in mode) == (when == "created"):
            fail()
        return real(path, mode, *args, **options)

    with Sender(listener.port) as sender:
        with monkeypatch.context() as patch:
            if when == "read":
                patch.setattr("node.intake.intake.read_header", fail)
            else:
                patch.setattr(Path, "open", open_)
            answer = sender.store(encode(data_set()))
        assert (answer.Status, answer.ErrorComment) == (0xA700, os.strerror(number))
        assert sender.store(encode(data_set())).Status == 0x0000
    assert ledger.arrivals.rejected() == []


ENDINGS = {
    "garbage": lambda sender: sender.send(b"garbage"),
    "an unknown PDU": lambda sender: sender.send(b"\x09\x00\x00\x00\x00\x01\x00"),
    "too long a PDU": lambda sender: sender.send(b"\x04\x00\x7f\xff\xff\xff" + bytes(1000)),
    "an empty PDV": lambda sender: sender.send(bytes.fromhex("04 00 00000005 00000001 01")),
    "a PDV that is cut short": lambda sender: sender.send(bytes.fromhex("04 00 00000006 000000ff 01 00")),
    "another context": lambda sender: sender.send(p_data(bytes(100), number=99)),
    "a new command": lambda sender: sender.command(c_store(SECOND)),
    "another request": lambda sender: sender.send(request()),
    "an abort": lambda sender: sender.send(ABORT),
    "a release": lambda sender: sender.send(RELEASE),
    "FIN": lambda sender: sender.socket.close(),
    "RST": lambda sender: sender.reset(),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_however_a_sender_ends_it_leaves_no_file(listener, spool, ledger, end):
    sender = RawSender(listener.port, request())
    with sender:
        sender.command(c_store())
        sender.send(p_data(bytes(50_000), last=False))
        wait_for(lambda: incoming(spool))
        end(sender)
        wait_for(lambda: not associations())
        assert incoming(spool) == []
    with Sender(listener.port) as other:
        assert other.store(encode(data_set())).Status == 0x0000
    assert len(kept(ledger)) == 1


def test_repeated_commands_leave_one_file_at_most(listener, spool):
    with RawSender(listener.port, request()) as sender:
        sender.send(*[p_data(c_store(), is_command=True)] * 2000)
        assert sender.is_ended()
    wait_for(lambda: not associations())
    assert incoming(spool) == []


@pytest.mark.parametrize(
    "message",
    [
        p_data(bytes(100)),
        p_data(b"\xff" * 100, is_command=True),
        p_data(command(CommandField=0x0FEE, MessageID=1, CommandDataSetType=0x0101), is_command=True),
        p_data(command(MessageID=1, CommandDataSetType=1), is_command=True),
        p_data(c_store(AffectedSOPInstanceUID="1." + "2" * 100), is_command=True) + p_data(bytes(100)),
        p_data(command(AffectedSOPClassUID=VERIFICATION, CommandField=0x30, MessageID=1, CommandDataSetType=1), 3,
               is_command=True) + p_data(bytes(100), 3),
        p_data(command(AffectedSOPClassUID="1.2.840.10008.5.1.4.1.2.2.1", CommandField=0x20, MessageID=1, Priority=0,
                       CommandDataSetType=1), is_command=True) + p_data(bytes(100)),
        p_data(command(AffectedSOPClassUID=VERIFICATION, CommandField=0x0100, MessageID=1, CommandDataSetType=0x0101),
               is_command=True),
        p_data(command(CommandField=0x8001, MessageIDBeingRespondedTo=1, CommandDataSetType=0x0101, Status=0),
               is_command=True),
        p_data(bytes(70_000), is_command=True, last=False),
    ],
    ids=["data without command", "noise", "unknown command", "command without field", "UID of 102 characters",
         "C-ECHO with data set", "C-FIND", "N-EVENT-REPORT", "a response", "endless command"],
)  # fmt: skip
def test_what_is_no_request_ends_the_association_at_once(listener, spool, message):
    with RawSender(listener.port, request()) as sender:
        sender.send(message)
        assert sender.is_ended()
    wait_for(lambda: not associations())
    assert incoming(spool) == []


def test_an_image_that_is_too_large(listen, ledger, tmp_path):
    spool = Spool(tmp_path / "strict", max_instance_bytes=100_000)
    listener = Listener(Intake(spool, ledger), ae_title="FTMTL")
    port = listener.start("127.0.0.1", 0)
    try:
        with Sender(port) as sender:
            answer = sender.store(encode(data_set(), pixels=bytes(150_000)))
            assert (answer.Status, answer.ErrorComment) == (0xA700, "larger than 0.0001 GB")
            assert incoming(spool) == []
            assert sender.store(encode(data_set(2)), SECOND).Status == 0x0000
        with RawSender(port, request()) as endless:
            endless.command(c_store())
            for _ in range(20):
                endless.send(p_data(bytes(10_000), last=False))
            assert associations(), "so much is dropped, so that there is an answer"
            endless.send(p_data(bytes(100_000), last=False))
            assert endless.is_ended()
    finally:
        listener.stop()


def test_space_is_checked_before_an_image_arrives_and_on_its_way(listener, spool, monkeypatch):
    usage, free = namedtuple("usage", "total used free"), [10_000_000]
    spool.min_free_bytes = 1_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10_000_000, 0, free[0]))
    with RawSender(listener.port, request()) as sender:
        sender.command(c_store())
        wait_for(lambda: incoming(spool))
        free[0] = 0
        for _ in range(20):
            sender.send(p_data(bytes(1_000_000), last=False))
        wait_for(lambda: not incoming(spool))
        sender.send(p_data(b""))
        assert sender.status() == 0xA700
        sender.command(c_store())
        sender.send(p_data(bytes(1000), last=False))
        sender.send(p_data(b""))
        assert sender.status() == 0xA700
        assert incoming(spool) == []


def test_files_of_nobody_are_swept(listener, spool):
    with RawSender(listener.port, request()) as sender:
        sender.command(c_store())
        sender.send(p_data(bytes(1000), last=False))
        (mine,) = wait_for(lambda: incoming(spool))
        (spool.incoming / "left.dcm").write_bytes(b"half")
        listener.beat()
        assert incoming(spool) == [mine]
