"""Who takes a place at the listener, and for how long: an honest sender is served within 5 s, whatever others do."""

import contextlib
import os
import resource
import socket
import threading
import time

import pytest
from pynetdicom import AE
from support.listening import associations, kept
from support.peers import wait_for
from support.raw import (
    ABORT,
    LOCAL_LIMIT_EXCEEDED,
    RawSender,
    c_cancel,
    c_echo,
    c_store,
    left_open,
    p_data,
    rejection,
    request,
)
from support.wire import STUDY, Sender, data_set, encode

from node.dimse.association import Limits
from node.settings import Peer

SOON_S = 5
"""The bound for an honest sender."""

BEGINNINGS = {
    "nothing": b"",
    "one byte": b"\x01",
    "half a request": request()[:100],
    "a request that claims four gigabytes": b"\x01\x00\xff\xff\xff\xff" + bytes(200),
    "half of a P-DATA": p_data(bytes(1000))[:50],
    "HTTP": b"GET / HTTP/1.1\r\nHost: ftmtl\r\n\r\n",
    "TLS": bytes.fromhex("16 0301 00c8 01 0000c4 0303") + bytes(100),
    "a release": bytes.fromhex("05 00 00000004 00000000"),
}


@pytest.fixture
def honest(listener):
    """Send C-ECHO and C-STORE, each time another instance; fail if it takes too long or does not succeed."""
    numbers = iter(range(1, 1000))

    def send():
        began, number = time.monotonic(), next(numbers)
        ae = AE("HONEST")
        ae.add_requested_context("1.2.840.10008.1.1")
        assoc = ae.associate("127.0.0.1", listener.port)
        assert assoc.is_established
        assert assoc.send_c_echo().Status == 0x0000
        assoc.release()
        with Sender(listener.port, calling="HONEST") as sender:
            assert sender.store(encode(data_set(number)), f"{STUDY}.2.{number}").Status == 0x0000
        assert time.monotonic() - began < SOON_S

    return send


def test_a_probe_that_opens_and_closes_takes_no_place(listener, honest):
    for _ in range(10):
        for _ in range(20):
            socket.create_connection(("127.0.0.1", listener.port)).close()
        honest()
    wait_for(lambda: not associations())


@pytest.mark.parametrize("begun", BEGINNINGS.values(), ids=BEGINNINGS)
def test_what_is_left_open_takes_no_place(listener, honest, begun):
    with left_open(listener.port, 25, begun):
        honest()


def test_500_half_open_connections_take_no_place(listener, honest):
    with left_open(listener.port, 500):
        honest()
        honest()


def test_a_request_that_trickles_takes_no_place(listen, honest, listener):
    stop = threading.Event()
    with left_open(listener.port, 40) as slow:

        def trickle():
            for byte in request():
                for connection in slow:
                    with contextlib.suppress(OSError):
                        connection.send(bytes([byte]))
                if stop.wait(0.1):
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            honest()
        finally:
            stop.set()
            thread.join()


def test_a_connection_has_some_time_for_its_request(listen):
    listener = listen(limits=Limits(request_s=0.3))
    with RawSender(listener.port) as silent, RawSender(listener.port) as slow:
        slow.send(request()[:100])
        assert silent.is_ended()
        assert slow.is_ended()


@pytest.mark.parametrize("begun", [p_data(bytes(9000))[:5000], b"\x04", p_data(bytes(9000), last=False)])
def test_silence_in_the_middle_of_an_image_ends_the_association(listen, spool, ledger, begun):
    """As if the sender had lost its power."""
    listener = listen(limits=Limits(silence_s=0.3))
    with RawSender(listener.port, request()) as sender:
        sender.command(c_store())
        sender.send(p_data(encode(data_set()), last=False))
        wait_for(lambda: list(spool.incoming.iterdir()))
        sender.send(begun)
        assert sender.is_ended()
        wait_for(lambda: not list(spool.incoming.iterdir()))
    wait_for(lambda: ledger.associations.senders_under_way() == {})


def test_an_image_that_trickles_ends_the_association(listen, spool):
    listener = listen(limits=Limits(silence_s=0.3))
    with RawSender(listener.port, request()) as sender:
        sender.command(c_store())
        with contextlib.suppress(OSError):
            for byte in p_data(bytes(9000)):
                sender.send(bytes([byte]))
                time.sleep(0.05)
            pytest.fail("the listener took all of it")


def test_an_association_may_be_idle_for_longer_than_silent(listen):
    listener = listen(limits=Limits(silence_s=0.2, idle_s=1.0))
    with RawSender(listener.port, request()) as sender:
        time.sleep(0.5)
        sender.command(c_echo(), 3)
        assert sender.status() == 0x0000
        assert sender.is_ended()


def test_the_limit_counts_associations(listen):
    listener = listen(limits=Limits(associations=2))
    with left_open(listener.port, 5), Sender(listener.port, calling="A"), Sender(listener.port, calling="B"):
        assert rejection(listener.port, "C") == LOCAL_LIMIT_EXCEEDED
    wait_for(lambda: not associations())
    with Sender(listener.port, calling="C"):
        pass


def test_one_peer_leaves_places_to_others(listen):
    listener = listen(limits=Limits(associations=5, associations_per_peer=2))
    with Sender(listener.port, calling="A"), Sender(listener.port, calling="A"):
        assert rejection(listener.port, "A") == LOCAL_LIMIT_EXCEEDED
        with Sender(listener.port, calling="B"):
            pass


def test_the_address_is_checked_before_anything_is_read(listen):
    listener = listen(peers=[Peer(ae_title="CT1", host="127.0.0.2"), Peer(ae_title="CT2", host="127.0.1.0/24")])
    with RawSender(listener.port, source="127.0.0.3") as stranger:
        assert stranger.is_ended()
    with RawSender(listener.port, request(calling=b"CT1"), source="127.0.0.2") as known:
        assert known.is_accepted
    with RawSender(listener.port, request(calling=b"CT1"), source="127.0.1.5") as borrowed:
        assert borrowed.reply[:1] == b"\x03", "CT1 has another address"


@pytest.fixture
def limit_files():
    """Change how many files this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda count: resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_descriptors_above_1023_are_served(listener, limit_files):
    """`select` can't wait for them."""
    limit_files(2048)
    with contextlib.ExitStack() as many:
        for _ in range(1024):
            many.enter_context(open(os.devnull, "rb"))
        with RawSender(listener.port, request()) as sender:
            sender.command(c_echo(), 3)
            assert sender.status() == 0x0000


def test_too_many_open_files_are_noted_and_pass(listener, honest, ledger, limit_files):
    """The connection that has waited for longest makes room."""
    limit_files(1024)
    with left_open(listener.port, 10) as oldest, contextlib.ExitStack() as all_files:
        with contextlib.suppress(OSError):
            while True:
                last = all_files.enter_context(open(os.devnull, "rb"))
        last.close()
        with left_open(listener.port, 1):
            assert oldest[0].recv(1) == b""
    honest()
    listener.network_log.flush(ledger.network_events.add)
    assert "cannot be accepted: Too many open files" in [event.reason for event, _ in ledger.network_events.latest()]


@pytest.mark.parametrize("count", [1, 12, 500])
def test_cancels_are_ignored_and_leave_nobody_behind(listener, count):
    with RawSender(listener.port, request()) as sender:
        for message_id in range(count):
            sender.command(c_cancel(message_id))
        sender.command(c_echo(), 3)
        assert sender.status() == 0x0000
        sender.send(ABORT)
    wait_for(lambda: not associations())
    wait_for(lambda: not any("DULServiceProvider" in repr(type(thread).__mro__) for thread in threading.enumerate()))


def test_a_sender_that_does_not_await_its_answers_is_served_in_turn(listener, ledger):
    encoded = encode(data_set())
    with RawSender(listener.port, request()) as sender:
        for _ in range(40):
            sender.command(c_store())
            sender.send(p_data(encoded))
        assert [sender.status() for _ in range(40)] == [0x0000] * 40
    assert len(kept(ledger)) == 1


def test_an_association_copies_no_presentation_contexts_that_nobody_asked_for(listener):
    """Copying all 171 took 70 ms."""
    with RawSender(listener.port, request()) as sender:
        assert sender.is_accepted
        (association,) = associations()
        assert len(association.acceptor.supported_contexts) == 2
