"""Associations with the listener: which studies are open, senders that leave, and what the log says."""

import logging

import pytest
from pynetdicom import AE
from support.listening import UID, associations, files, kept
from support.peers import wait_for
from support.wire import PATIENT_ID, PATIENT_NAME, STUDY, Sender, data_set, encode

from node.intake.intake import Intake
from node.intake.scp import Listener


def test_answers_c_echo(listener):
    ae = AE("MODALITY")
    ae.add_requested_context("1.2.840.10008.1.1")
    assoc = ae.associate("127.0.0.1", listener.port)
    assert assoc.send_c_echo().Status == 0x0000
    assoc.release()


def test_open_studies_follows_the_association(listener):
    with Sender(listener.port) as sender:
        assert listener.intake.ledger.associations.open_studies() == set(), "it has brought nothing yet"
        sender.store(encode(data_set()))
        assert listener.intake.ledger.associations.open_studies() == {STUDY}
        with Sender(listener.port) as other:
            other.store(encode(data_set(5, StudyInstanceUID="1.2.3")), f"{STUDY}.2.5")
            assert listener.intake.ledger.associations.open_studies() == {STUDY, "1.2.3"}
        wait_for(lambda: listener.intake.ledger.associations.open_studies() == {STUDY})
    wait_for(lambda: listener.intake.ledger.associations.open_studies() == set())


def test_an_aborted_association_is_closed(listener):
    with Sender(listener.port) as sender:
        sender.store(encode(data_set()))
        sender.assoc.abort()
    wait_for(lambda: listener.intake.ledger.associations.open_studies() == set())


def test_a_sender_that_leaves_before_its_answer_is_not_waited_for(listen, ledger, monkeypatch):
    """The connection is closed while its instance is being registered."""
    real, hung_up = ledger.arrivals.register, []

    def register(*instance, **options):
        wait_for(lambda: hung_up)
        return real(*instance, **options)

    monkeypatch.setattr(ledger.arrivals, "register", register)
    listener = listen()
    sender = Sender(listener.port)
    sender.post(encode(data_set()))
    wait_for(lambda: files(listener.intake.spool, "instances"))
    sender.hang_up()
    (association,) = associations()
    wait_for(lambda: not association.dul.is_alive())
    hung_up.append(True)
    wait_for(lambda: kept(ledger))
    wait_for(lambda: (listener.beat(), listener.intake.ledger.associations.open_studies()) == (None, set()))


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
    assert "takes the place of an earlier version" in text
    for word in (*PATIENT_NAME.split("^"), PATIENT_ID):
        assert word not in text


def test_a_port_that_is_taken_is_an_os_error(listen, spool, ledger, listener):
    with pytest.raises(OSError, match="in use"):
        Listener(Intake(spool, ledger), ae_title="SECOND").start("127.0.0.1", listener.port)
