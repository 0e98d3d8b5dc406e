"""Who may connect, who may associate, and how often: pure rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import NamedTuple

from node.dimse.association import Limits
from node.dimse.reception import Address
from node.dimse.request import AssociationRequest
from node.settings import Peer

_LISTED = 10
"""So many peers are named in a message."""


class Sender(NamedTuple):
    """A calling Application Entity title and the address that it comes from."""

    calling_ae: str
    address: Address


class Rejection(NamedTuple):
    """An A-ASSOCIATE-RJ: result, source and reason (PS3.8 table 9-21), and the same in words."""

    result: int
    source: int
    diagnostic: int
    reason: str
    expected: str

    @property
    def pdu(self) -> bytes:
        """The PDU (PS3.8 9.3.4)."""
        return bytes([0x03, 0, 0, 0, 0, 4, 0, self.result, self.source, self.diagnostic])


class Admission:
    """Decides by address, AE title and number.

    Parameters
    ----------
    peers
        Who may send; if empty, only this machine may, under any title.
    limits
        How many associations there may be.
    """

    def __init__(self, peers: Sequence[Peer], limits: Limits) -> None:
        self.limits = limits
        self._peers = [(peer.ae_title, ipaddress.ip_network(peer.host, strict=False)) for peer in peers]
        self.expected = self._expected()

    def knows(self, address: Address) -> bool:
        """Return whether some peer may have this address."""
        if not self._peers:
            return address.is_loopback
        return any(_within(address, network) for _, network in self._peers)

    def rejection(self, request: AssociationRequest, address: Address, open_: Collection[Sender]) -> Rejection | None:
        """Return why a request is rejected, or None.

        Parameters
        ----------
        open_
            The senders of the associations that there are; one with several occurs as often.
        """
        if not request.version_1:
            return Rejection(1, 2, 2, "protocol version not supported", "version 1")
        if not self._is_peer(request.calling_ae, address):
            return Rejection(1, 1, 3, "calling AE title not recognised at this address", self.expected)
        if len(open_) >= self.limits.associations:
            return Rejection(2, 3, 2, "too many associations", f"at most {self.limits.associations}")
        theirs = sum(sender == (request.calling_ae, address) for sender in open_)
        if theirs >= self.limits.associations_per_peer:
            expected = f"at most {self.limits.associations_per_peer} per peer"
            return Rejection(2, 3, 2, "too many associations of this peer", expected)
        return None

    def _is_peer(self, title: str, address: Address) -> bool:
        if not title:
            return False
        if not self._peers:
            return address.is_loopback
        return any(title == peer and _within(address, network) for peer, network in self._peers)

    def _expected(self) -> str:
        if not self._peers:
            return "an AE title on this machine; there are no [[peers]]"
        listed = ", ".join(f"{title} at {network}" for title, network in self._peers[:_LISTED])
        return f"one of [[peers]]: {listed}{', …' if len(self._peers) > _LISTED else ''}"


def _within(address: Address, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Return whether a network contains an address; a network of mapped IPv4 addresses contains those."""
    if address.version == network.version:
        return address in network
    return address.version == 4 and ipaddress.IPv6Address(f"::ffff:{address}") in network
