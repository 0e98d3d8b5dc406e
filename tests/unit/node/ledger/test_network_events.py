"""Counts of what has come to nothing at the listener."""

from dataclasses import replace

from node.domain import NetworkEvent, NetworkEventKind, Tally

EVENT = NetworkEvent(NetworkEventKind.REJECTED, "192.0.2.1", "calling AE title not recognised", "CT1", "X", "FTMTL")


def test_the_same_is_counted_in_one_row(ledger):
    ledger.network_events.add({EVENT: Tally(2, 10.0, 20.0)})
    ledger.network_events.add({replace(EVENT, expected="CT1, CT2"): Tally(3, 30.0, 40.0)})
    ledger.network_events.add({replace(EVENT, calling_ae="Y"): Tally(1, 35.0, 35.0)})
    assert ledger.network_events.latest() == [
        (replace(EVENT, expected="CT1, CT2"), Tally(5, 10.0, 40.0)),
        (replace(EVENT, calling_ae="Y"), Tally(1, 35.0, 35.0)),
    ]
    assert len(ledger.network_events.latest(1)) == 1


def test_the_number_of_rows_is_bounded(ledger, monkeypatch):
    monkeypatch.setattr("node.ledger.network_events.KEPT", 10)
    for start in (0, 8):
        events = {replace(EVENT, calling_ae=str(n)): Tally(1, float(n), float(n)) for n in range(start, start + 8)}
        ledger.network_events.add(events)
    assert [tally.last for _, tally in ledger.network_events.latest()] == [float(n) for n in range(15, 5, -1)]
