"""What other systems do that the standard allows, or nearly: it is served."""

import socket
import struct

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from support.listening import kept
from support.raw import (
    USER_INFORMATION,
    VERIFICATION,
    RawSender,
    c_echo,
    c_store,
    context,
    item,
    p_data,
    request,
)
from support.wire import MG, STUDY, Sender, data_set, encode

from node.dimse.reception import plain_address
from node.settings import Peer

UNKNOWN_ITEM = item(0x5A, b"from the future")

REQUESTS = {
    "an unknown sub-item": request(user_information=UNKNOWN_ITEM + USER_INFORMATION),
    "unknown sub-items of any kind": request(
        user_information=USER_INFORMATION + b"".join(item(kind, b"x" * 9) for kind in (0x00, 0x50, 0x5F, 0x99, 0xFF))
    ),
    "an unknown item": request(context(1), context(3, VERIFICATION), UNKNOWN_ITEM),
    "an unknown sub-item of a context": request(
        item(0x20, context(1)[4:] + item(0x77, b"?")), context(3, VERIFICATION)
    ),
    "titles padded with NUL": request(padding=b"\0"),
    "titles with leading blanks": request(calling=b"  MODALITY", called=b" FTMTL"),
    "titles padded with both": request(calling=b"MODALITY \0", called=b"FTMTL\0 "),
    "no called title": request(called=b""),
    "a called title of other letters": request(called="GERÄT".encode("latin-1")),
    "no user information": request(user_information=b""),
    "no implementation class": request(user_information=USER_INFORMATION[:8]),
    "a version name of 40 letters": request(user_information=USER_INFORMATION + item(0x55, b"V" * 40)),
    "an empty version name": request(user_information=USER_INFORMATION + item(0x55, b"")),
    "a version name of other letters": request(user_information=USER_INFORMATION + item(0x55, b"\xc4\xd6")),
    "no limit of the PDU": request(user_information=item(0x51, bytes(4)) + USER_INFORMATION[8:]),
    "PDUs of a byte": request(user_information=item(0x51, struct.pack(">I", 1)) + USER_INFORMATION[8:]),
    "PDUs of four gigabytes": request(user_information=item(0x51, b"\xff" * 4) + USER_INFORMATION[8:]),
    "an asynchronous operations window": request(user_information=USER_INFORMATION + item(0x53, b"\0\x08\0\x08")),
    "a user identity": request(
        user_information=USER_INFORMATION + item(0x58, b"\x01\x01" + struct.pack(">H3sH", 3, b"ann", 0))
    ),
    "roles": request(
        user_information=USER_INFORMATION + item(0x54, struct.pack(">H", len(MG)) + MG.encode() + b"\x01\x00")
    ),
    "later versions of the protocol, too": request()[:6] + b"\x00\x03" + request()[8:],
    "another context with a UID that is none": request(context(1), context(3, VERIFICATION), context(5, "1.2.A")),
    "UIDs padded with NUL": request(context(1, f"{MG}\0", (f"{ExplicitVRLittleEndian}\0",)), context(3, VERIFICATION)),
}


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_a_request_that_is_not_what_pynetdicom_expects(listen, ledger, asked):
    listener = listen(peers=[Peer(ae_title="MODALITY")])
    with RawSender(listener.port, asked) as sender:
        assert sender.is_accepted
        sender.command(c_echo(), 3)
        assert sender.status() == 0x0000
        sender.command(c_store())
        sender.send(p_data(encode(data_set())))
        assert sender.status() == 0x0000
    (instance,) = kept(ledger)
    assert instance.calling_ae == "MODALITY"


@pytest.mark.parametrize(
    "calling", [b"", b"\0", b"MODALIT\xc4", b"MODA\\LITY", b"MODALITY2", b"modality", b"MODA\0LITY"]
)
def test_other_titles_are_not_recognised(listen, calling):
    listener = listen(peers=[Peer(ae_title="MODALITY")])
    with RawSender(listener.port, request(calling=calling)) as sender:
        assert sender.reply == bytes([3, 0, 0, 0, 0, 4, 0, 1, 1, 3])


def test_another_version_of_the_protocol_is_not_supported(listener):
    with RawSender(listener.port, request()[:6] + b"\x00\x02" + request()[8:]) as sender:
        assert sender.reply == bytes([3, 0, 0, 0, 0, 4, 0, 1, 2, 2])


@pytest.mark.parametrize(
    "asked",
    [
        request(context(2)),
        request(item(0x20, b"")),
        request(item(0x20, bytes([1, 0, 0, 0]))),
        request(item(0x20, bytes([1, 0, 0, 0]) + item(0x30, MG.encode()))),
        request(item(0x20, bytes([1, 0, 0, 0, 0x30, 0, 0xFF, 0xFF]))),
        request(UNKNOWN_ITEM),
        request(user_information=b"\x51"),
    ],
)
def test_a_request_that_is_none_ends_the_connection(listener, asked):
    with RawSender(listener.port) as sender:
        sender.send(asked)
        assert sender.is_ended()


def test_fragments_of_one_pdu(listener, ledger):
    """Command and data set in one PDU, and a command in several (PS3.8 9.3.5, annex E)."""
    command = p_data(c_store(), is_command=True)[6:]
    encoded = p_data(encode(data_set()))[6:]
    with RawSender(listener.port, request()) as sender:
        sender.send(struct.pack(">BxI", 4, len(command + encoded)) + command + encoded)
        assert sender.status() == 0x0000
        sender.send(p_data(c_store()[:30], is_command=True, last=False), p_data(c_store()[30:], is_command=True))
        sender.send(p_data(b"", last=False), p_data(encode(data_set()), last=False), p_data(b""))
        assert sender.status() == 0x0000
    assert len(kept(ledger)) == 1


def test_a_c_store_without_a_data_set(listener, ledger):
    with RawSender(listener.port, request()) as sender:
        sender.command(c_store(CommandDataSetType=0x0101))
        pdu = sender.pdu()
        assert b"the request has no data set" in pdu
        assert struct.pack("<HHIH", 0, 0x0900, 2, 0xC000) in pdu
        sender.command(c_store())
        sender.send(p_data(b""))
        assert sender.status() == 0xC000
        sender.command(c_store())
        sender.send(p_data(encode(data_set())))
        assert sender.status() == 0x0000


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"AffectedSOPInstanceUID": ""}, 0xC000),
        ({"AffectedSOPClassUID": ""}, 0xC000),
        ({"AffectedSOPClassUID": VERIFICATION}, 0x0122),
        ({"AffectedSOPClassUID": "1.2.3.4"}, 0x0122),
    ],
)
def test_a_c_store_of_nothing_that_is_stored(listener, spool, changes, status):
    with RawSender(listener.port, request()) as sender:
        sender.command(c_store(**changes))
        sender.send(p_data(encode(data_set())))
        assert sender.status() == status
        assert list(spool.incoming.iterdir()) == []
        sender.command(c_store())
        sender.send(p_data(encode(data_set())))
        assert sender.status() == 0x0000


def test_a_c_echo_with_another_class(listener):
    with RawSender(listener.port, request()) as sender:
        sender.command(c_echo().replace(VERIFICATION.encode(), b"1.2.840.10008.1.9"), 3)
        assert sender.status() == 0x0122


needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 on this machine")


@needs_ipv6
@pytest.mark.parametrize("rule", ["127.0.0.0/8", "::ffff:127.0.0.0/104"])
def test_ipv4_peers_of_a_listener_on_ipv6(listen, ledger, rule):
    listener = listen(host="::", peers=[Peer(ae_title="MODALITY", host=rule)])
    with Sender(listener.port) as sender:
        assert sender.store(encode(data_set())).Status == 0x0000
    assert len(kept(ledger)) == 1


@needs_ipv6
def test_ipv6_peers(listen):
    listener = listen(host="::", peers=[Peer(ae_title="MODALITY", host="::1"), Peer(ae_title="X", host="192.0.2.0/24")])
    with socket.create_connection(("::1", listener.port), timeout=10) as connection:
        connection.sendall(request())
        assert connection.recv(1) == b"\x02"
    with RawSender(listener.port) as stranger:
        assert stranger.is_ended()


@pytest.mark.parametrize(
    ("text", "plain"), [("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.1", "192.0.2.1"), ("fe80::1%1", "fe80::1%1")]
)
def test_mapped_addresses_are_plain(text, plain):
    assert str(plain_address(text)) == plain


def test_a_name_to_listen_on(listen):
    with Sender(listen(host="localhost").port) as sender:
        assert sender.store(encode(data_set()), f"{STUDY}.2.1").Status == 0x0000
