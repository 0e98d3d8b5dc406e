"""What comes to nothing is said once, with what would have been right, and counted in the ledger."""

import logging
import socket

import pytest
from pynetdicom import AE
from support.peers import wait_for
from support.raw import ABORT, NOT_RECOGNISED, RawSender, c_store, command, context, p_data, rejection, request
from support.wire import MG, Sender

from node.dimse.association import Limits
from node.domain import NetworkEventKind as Kind
from node.settings import Peer

PLACE = "127.0.0.1"
A_REQUEST = "an association request (A-ASSOCIATE-RQ)"


@pytest.fixture
def seen(ledger):
    """Wait until a listener has counted something; return it, the newest first."""

    def wait(listener, count=1):
        def counted():
            listener.network_log.flush(ledger.network_events.add)
            found = ledger.network_events.latest()
            return found if len(found) >= count else None

        return [event for event, _ in wait_for(counted)]

    return wait


def test_an_unknown_title(listen, seen):
    listener = listen(peers=[Peer(ae_title="CT1"), Peer(ae_title="PACS", host="192.0.2.0/24")])
    assert rejection(listener.port, "STRANGER") == NOT_RECOGNISED
    (event,) = seen(listener)
    assert (event.kind, event.calling_ae, event.called_ae, event.address) == (Kind.REJECTED, "STRANGER", "FTMTL", PLACE)
    assert event.reason == "calling AE title not recognised at this address"
    assert event.expected == "one of [[peers]]: CT1 at 127.0.0.0/8, PACS at 192.0.2.0/24"


def test_an_unknown_address(listen, seen):
    listener = listen(peers=[Peer(ae_title="CT1", host="192.0.2.0/24")])
    with RawSender(listener.port) as sender:
        assert sender.is_ended()
    (event,) = seen(listener)
    assert (event.kind, event.address) == (Kind.NO_REQUEST, PLACE)
    assert event.reason == "the address is not that of a peer"
    assert event.expected == "one of [[peers]]: CT1 at 192.0.2.0/24"


def test_the_limits(listen, seen):
    listener = listen(limits=Limits(associations=2, associations_per_peer=1))
    with Sender(listener.port, calling="A"):
        assert rejection(listener.port, "A")
        (event,) = seen(listener)
        assert (event.kind, event.calling_ae, event.reason, event.expected) == (
            Kind.REJECTED, "A", "too many associations of this peer", "at most 1 per peer",
        )  # fmt: skip
        with Sender(listener.port, calling="B"):
            assert rejection(listener.port, "C")
            newest, _ = seen(listener, 2)
            assert (newest.calling_ae, newest.reason, newest.expected) == ("C", "too many associations", "at most 2")


@pytest.mark.parametrize(
    ("contexts", "reason", "expected"),
    [
        (
            [context(1), context(3, "1.2.840.10008.5.1.4.1.2.2.1"), context(5, MG, ("1.2.840.10008.1.2.4.100",))],
            "Digital Mammography X-Ray Image Storage - For Presentation in MPEG2 Main Profile / Main Level, "
            "Study Root Query/Retrieve Information Model - FIND",
            "a Storage SOP class or Verification and an accepted transfer syntax",
        ),
        (
            [context(1, "1.2.840.10008.5.1.4.31")],
            "nothing accepted: Modality Worklist Information Model - FIND",
            "a Storage SOP class or Verification",
        ),
        ([context(1, "1.2.3.4")], "nothing accepted: 1.2.3.4", "a Storage SOP class or Verification"),
    ],
    ids=["some", "nothing", "a private class"],
)
def test_presentation_contexts_that_are_not_accepted(listener, seen, contexts, reason, expected):
    with RawSender(listener.port, request(*contexts)) as sender:
        assert sender.is_accepted
        (event,) = seen(listener)
    assert (event.kind, event.calling_ae, event.address) == (Kind.NOT_ACCEPTED, "MODALITY", PLACE)
    assert (event.reason, event.expected) == (reason, expected)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "closed without an association request"),
        (request()[:50], "closed in the middle of an association request"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP instead of DICOM"),
        (bytes.fromhex("160301"), "TLS instead of DICOM"),
        (b"SSH-2.0-OpenSSH_9\r\n", "no DICOM"),
        (b"\x01\x00\x7f\xff\xff\xff", "an association request of 2147483653 bytes"),
        (b"\x01\x00\x00\x00\x00\x04abcd", "the association request is too short"),
    ],
)
def test_connections_that_never_asked(listener, seen, sent, reason):
    with socket.create_connection(("127.0.0.1", listener.port)) as connection:
        connection.sendall(sent)
    (event,) = seen(listener)
    assert (event.kind, event.address, event.reason, event.expected) == (Kind.NO_REQUEST, PLACE, reason, A_REQUEST)


def test_a_connection_that_says_nothing(listen, seen):
    listener = listen(limits=Limits(request_s=0.2))
    with RawSender(listener.port) as sender:
        assert sender.is_ended()
    (event,) = seen(listener)
    assert event.reason == "no association request within 0 s"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda sender: sender.send(ABORT), "aborted by the sender"),
        (lambda sender: sender.socket.close(), "the connection was closed without a release"),
        (lambda sender: sender.send(b"\x09\x00\x00\x00\x00\x00"), "sent a PDU of the unknown type 0x09"),
        (lambda sender: sender.send(b"\x04\x00\x7f\xff\xff\xff"), "sent a PDU of 2147483647 bytes"),
        (lambda sender: sender.send(p_data(b"x", 99)), "sent a message that has a presentation context that was not "
                                                       "accepted"),
        (lambda sender: sender.send(p_data(b"x")), "sent a message that has a data set without a command"),
        (lambda sender: sender.send(request()), "sent a PDU of the type 0x01 out of order"),
        (lambda sender: sender.command(command(MessageID=1)), "sent a message that can't be read: AttributeError"),
        (lambda sender: sender.command(c_store(AffectedSOPInstanceUID="1" * 66, CommandDataSetType=0x0101)),
         "sent a message that can't be read"),
    ],
)  # fmt: skip
def test_aborts(listener, seen, end, reason):
    with RawSender(listener.port, request()) as sender:
        end(sender)
        (event,) = seen(listener)
    assert (event.kind, event.calling_ae, event.called_ae, event.address) == (Kind.ABORTED, "MODALITY", "FTMTL", PLACE)
    assert (event.reason, event.expected) == (reason, "a release")


def test_an_abort_in_the_middle_of_an_image(listener, seen):
    with RawSender(listener.port, request()) as sender:
        sender.command(c_store())
        sender.send(p_data(bytes(1000), last=False), ABORT)
        (event,) = seen(listener)
    assert event.reason == "aborted by the sender in the middle of an image"


def test_a_sender_that_falls_silent(listen, seen):
    listener = listen(limits=Limits(silence_s=0.2, idle_s=0.4))
    with RawSender(listener.port, request(calling=b"A")) as sender:
        sender.command(c_store())
        (event,) = seen(listener)
        assert event.reason == "sent nothing for 0 s in the middle of an image"
        assert sender.is_ended()
    with RawSender(listener.port, request(calling=b"B")) as sender:
        assert sender.is_ended()
    assert seen(listener, 2)[0].reason == "was idle for 0 s"


def test_what_goes_well_is_not_noted(listener, ledger):
    ae = AE("MODALITY")
    ae.add_requested_context("1.2.840.10008.1.1")
    assoc = ae.associate("127.0.0.1", listener.port)
    assert assoc.send_c_echo().Status == 0x0000
    assoc.release()
    wait_for(lambda: not listener._associations())
    listener.network_log.flush(ledger.network_events.add)
    assert ledger.network_events.latest() == []


def test_one_line_each_and_no_traceback(listen, caplog, seen):
    """A probe a second is one line and a count; what pynetdicom thinks of it is not said."""
    caplog.set_level(logging.INFO)
    listener = listen(peers=[Peer(ae_title="CT1")])
    for _ in range(50):
        socket.create_connection(("127.0.0.1", listener.port)).close()
    with RawSender(listener.port, request(calling=b"X")) as stranger:
        assert stranger.reply[:1] == b"\x03"
    with RawSender(listener.port, request(calling=b"CT1")) as sender:
        sender.send(p_data(b"\xff" * 100, is_command=True))
        assert sender.is_ended()
    events = seen(listener, 3)
    counts = {event.kind: tally.count for event, tally in listener.intake.ledger.network_events.latest()}
    assert counts == {Kind.NO_REQUEST: 50, Kind.REJECTED: 1, Kind.ABORTED: 1}
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("node")]
    for event in events:
        (line,) = [line for line in lines if line.startswith(event.kind)]
        for word in (repr(event.calling_ae), repr(event.called_ae), event.address, event.reason, event.expected):
            assert word in line
    assert not [record for record in caplog.records if record.exc_info]
    assert not [record for record in caplog.records if record.name.startswith("pynetdicom")]
