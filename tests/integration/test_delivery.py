"""Results on their way to a PACS, over real associations: every answer, and every way not to get one."""

import socket

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from support.peers import wait_for
from support.records import SEG, SR
from support.wire import data_set, encode, poll_often, receiver, write_file

from node.cli.standalone import free_port
from node.delivery.retry import RetryPolicy, next_state
from node.delivery.send import send
from node.dimse.scu import echo
from node.dimse.status import Answer
from node.domain import Delivery, DeliveryState, Destination, ResultObject
from node.kinds import ObjectKind

POLICY = RetryPolicy(first_retry_s=10, longest_retry_s=3600, give_up_after_s=86400)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", False)
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", False)
    poll_often(monkeypatch)


@pytest.fixture
def results(tmp_path):
    """A segmentation and a report; to the wire they are bytes."""
    made = []
    for number, (kind, sop_class) in enumerate([(ObjectKind.SEG, SEG), (ObjectKind.SR, SR)], start=1):
        uid = f"2.25.{number}"
        encoded = encode(data_set(SOPClassUID=sop_class, SOPInstanceUID=uid))
        path = write_file(tmp_path / f"{kind}.dcm", encoded, sop_class, uid)
        made.append(ResultObject(kind, sop_class, uid, "2.25.9", path))
    return made


def pacs(port, host="127.0.0.1"):
    return Destination("archive", "PACS", host, port)


def answering(status):
    return [(evt.EVT_C_STORE, lambda event: status)]


def after(reply, now=2000.0):
    return next_state(
        Delivery("archive", reply.sop_instance_uid, DeliveryState.PENDING, opened=1000.0), reply, now, POLICY
    )


def test_the_pacs_gets_the_bytes_of_the_files_in_their_order(results):
    got = []

    def store(event):
        got.append((str(event.request.AffectedSOPInstanceUID), event.encoded_dataset(include_meta=False)))
        return 0x0000

    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR]) as port:
        replies = list(send(pacs(port), results, "FTMTL"))
    assert [(r.sop_instance_uid, r.answer, r.status, r.comment) for r in replies] == [
        ("2.25.1", Answer.STORED, 0x0000, ""),
        ("2.25.2", Answer.STORED, 0x0000, ""),
    ]
    assert [uid for uid, _ in got] == ["2.25.1", "2.25.2"]
    assert all(result.path.read_bytes().endswith(sent) for result, (_, sent) in zip(results, got, strict=True))
    assert {after(reply).state for reply in replies} == {DeliveryState.DELIVERED}


def test_our_title_and_theirs_are_on_the_association(results):
    titles = []

    def store(event):
        titles.append((event.assoc.requestor.ae_title, event.assoc.requestor.primitive.called_ae_title))
        return 0x0000

    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR]) as port:
        list(send(pacs(port), results, "AI_NODE"))
    assert set(titles) == {("AI_NODE", "PACS")}


@pytest.mark.parametrize(
    ("status", "answer", "state", "words"),
    [
        (0xB000, Answer.WARNING, DeliveryState.DELIVERED, "stored with a warning 0xB000: coercion of data elements"),
        (0xB006, Answer.WARNING, DeliveryState.DELIVERED, "0xB006: elements discarded"),
        (0xB007, Answer.WARNING, DeliveryState.DELIVERED, "0xB007: data set does not match SOP class"),
        (0x0107, Answer.WARNING, DeliveryState.DELIVERED, "0x0107: attribute list error"),
        (0x0116, Answer.WARNING, DeliveryState.DELIVERED, "0x0116: attribute value out of range"),
        (0xA700, Answer.TRY_AGAIN, DeliveryState.PENDING, "0xA700: out of resources"),
        (0xA7AB, Answer.TRY_AGAIN, DeliveryState.PENDING, "0xA7AB"),
        (0x0110, Answer.TRY_AGAIN, DeliveryState.PENDING, "0x0110: processing failure"),
        (0xA900, Answer.REFUSED, DeliveryState.FAILED, "0xA900: data set does not match"),
        (0xC123, Answer.REFUSED, DeliveryState.FAILED, "0xC123: cannot understand"),
        (0x0111, Answer.STORED, DeliveryState.DELIVERED, "stored 0x0111: was there already"),
        (0x0122, Answer.CLASS_REFUSED, DeliveryState.FAILED, "0x0122: SOP class not supported"),
        (0x0124, Answer.REFUSED, DeliveryState.FAILED, "0x0124: not authorised"),
    ],
)
def test_what_a_status_does(results, status, answer, state, words):
    with receiver(answering(status), [SEG, SR]) as port:
        first, second = send(pacs(port), results, "FTMTL")
    assert (first.answer, first.status, second.status) == (answer, status, status)
    assert words in first.comment
    assert (after(first).state, after(first).comment) == (state, first.comment)


def test_each_object_has_its_own_answer(results):
    def store(event):
        return 0x0000 if event.request.AffectedSOPClassUID == SR else 0xA700

    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR]) as port:
        assert [reply.answer for reply in send(pacs(port), results, "FTMTL")] == [Answer.TRY_AGAIN, Answer.STORED]


def test_a_sop_class_that_is_not_accepted_is_refused_and_the_rest_is_sent(results):
    with receiver(answering(0x0000), [SR]) as port:
        first, second = send(pacs(port), results, "FTMTL")
    assert (first.answer, first.status) == (Answer.CLASS_REFUSED, None)
    assert first.comment == "does not accept Segmentation Storage"
    assert second.answer is Answer.STORED


@pytest.mark.parametrize(
    ("classes", "syntax"),
    [(["1.2.840.10008.5.1.4.1.1.2"], ImplicitVRLittleEndian), ([SEG, SR], "1.2.840.10008.1.2.4.50")],
)
def test_nothing_accepted_is_refused_for_good(results, classes, syntax):
    with receiver(answering(0x0000), classes, syntax=syntax) as port:
        replies = list(send(pacs(port), results, "FTMTL"))
    assert [(r.answer, r.status) for r in replies] == [(Answer.CLASS_REFUSED, None)] * 2
    assert "accepts none of" in replies[0].comment
    assert replies[0].comment.count("Segmentation Storage") == 1


def test_a_peer_that_knows_the_default_transfer_syntax_alone_is_sent_it(results):
    got = []

    def store(event):
        got.append((event.context.transfer_syntax, event.dataset))
        return 0x0000

    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR], syntax=ImplicitVRLittleEndian) as port:
        replies = list(send(pacs(port), results, "FTMTL"))
    assert [(r.answer, r.status) for r in replies] == [(Answer.STORED, 0x0000)] * 2
    assert [syntax for syntax, _ in got] == [ImplicitVRLittleEndian] * 2
    assert [ds for _, ds in got] == [dcmread(result.path) for result in results]


def test_nobody_listening_is_tried_again(results):
    replies = list(send(pacs(free_port()), results, "FTMTL"))
    assert [(r.sop_instance_uid, r.answer, r.status) for r in replies] == [
        ("2.25.1", Answer.NOT_TRIED, None),
        ("2.25.2", Answer.NOT_TRIED, None),
    ]
    assert all(reply.comment for reply in replies)


def test_a_host_name_that_does_not_resolve_is_tried_again(results, monkeypatch):
    def getaddrinfo(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    replies = list(send(pacs(104, "pacs.invalid"), results, "FTMTL"))
    assert {reply.answer for reply in replies} == {Answer.NOT_TRIED}
    assert replies[0].comment == "pacs.invalid: Name or service not known"
    assert echo(pacs(104, "pacs.invalid"), "FTMTL") == "pacs.invalid: Name or service not known"


def test_a_rejected_association_is_tried_again_and_says_why(results):
    ae = AE("PACS")
    ae.add_supported_context(SEG)
    ae.require_calling_aet = ["SOMEBODY_ELSE"]
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        replies = list(send(pacs(server.socket.getsockname()[1]), results, "FTMTL"))
    finally:
        server.shutdown()
    assert {reply.answer for reply in replies} == {Answer.NOT_TRIED}
    assert "rejected" in replies[0].comment
    assert "alling AE title not recognised" in replies[0].comment


def test_a_peer_that_aborts_halfway_leaves_the_rest_to_be_tried_again(results):
    def store(event):
        if event.request.AffectedSOPClassUID == SEG:
            return 0x0000
        event.assoc.abort()
        return 0x0000

    third = results[0]
    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR]) as port:
        replies = list(send(pacs(port), [*results, third], "FTMTL"))
    assert [reply.answer for reply in replies] == [Answer.STORED, Answer.UNANSWERED, Answer.NOT_TRIED]
    assert [reply.status for reply in replies] == [0, None, None]
    assert "association ended" in replies[2].comment


def test_a_peer_that_hangs_up_on_us_is_tried_again(results):
    def store(event):
        event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        return 0x0000

    with receiver([(evt.EVT_C_STORE, store)], [SEG, SR]) as port:
        replies = list(send(pacs(port), results, "FTMTL"))
    assert [(r.answer, r.status) for r in replies] == [(Answer.UNANSWERED, None), (Answer.NOT_TRIED, None)]


def test_a_file_that_is_gone_does_not_keep_the_others_back(results):
    results[0].path.unlink()
    with receiver(answering(0x0000), [SEG, SR]) as port:
        first, second = send(pacs(port), results, "FTMTL")
    assert (first.answer, second.answer) == (Answer.TRY_AGAIN, Answer.STORED)
    assert "No such file" in first.comment


def test_a_file_that_is_damaged_is_refused_and_does_not_keep_the_others_back(results):
    results[0].path.write_bytes(b"damaged")
    with receiver(answering(0x0000), [SEG, SR]) as port:
        first, second = send(pacs(port), results, "FTMTL")
    assert (first.answer, second.answer) == (Answer.REFUSED, Answer.STORED)
    assert "damaged" in first.comment


def test_the_association_is_released_even_if_the_caller_stops_listening(results):
    ended = []
    with receiver([*answering(0x0000), (evt.EVT_RELEASED, ended.append)], [SEG, SR]) as port:
        replies = send(pacs(port), results, "FTMTL")
        next(replies)
        replies.close()
        wait_for(lambda: ended)
    assert len(ended) == 1


def test_echo(results):
    with receiver([], ["1.2.840.10008.1.1"], syntax=ImplicitVRLittleEndian) as port:
        assert echo(pacs(port), "FTMTL") is None
    with receiver(answering(0x0000), [SEG]) as port:
        assert "accepts none of: Verification" in echo(pacs(port), "FTMTL")
    handlers = [(evt.EVT_C_ECHO, lambda event: 0x0122)]
    with receiver(handlers, ["1.2.840.10008.1.1"], syntax=ImplicitVRLittleEndian) as port:
        assert echo(pacs(port), "FTMTL") == "C-ECHO status 0x0122"
    assert echo(pacs(free_port()), "FTMTL")
