"""How often a peer may try a password."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

FAILURES = 5
WINDOW = 300.0
PEERS = 4096
"""How many peers are remembered; beyond, the one that has been known the longest is forgotten."""


class Throttle:
    """Five failures within five minutes, then the peer waits until the first of them is five minutes old.

    A try is counted before it is decided, so that tries at the same moment cannot slip through together.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tries: dict[str, list[float]] = {}

    def wait(self, peer: str) -> float:
        """Seconds until this peer may try again; 0.0 if it may now."""
        tries = self._recent(peer)
        return tries[-FAILURES] + WINDOW - self._clock() if len(tries) >= FAILURES else 0.0

    def count(self, peer: str) -> None:
        """One more try, a failure until `forget` says otherwise."""
        self._tries[peer] = [*self._recent(peer), self._clock()]
        while len(self._tries) > PEERS:
            del self._tries[next(iter(self._tries))]

    def waiting(self) -> dict[str, float]:
        """The peers that have to wait, and for how many seconds."""
        return {peer: seconds for peer in list(self._tries) if (seconds := self.wait(peer)) > 0}

    def forget(self, peer: str) -> None:
        """The peer knew the password."""
        self._tries.pop(peer, None)

    def _recent(self, peer: str) -> list[float]:
        horizon = self._clock() - WINDOW
        return [moment for moment in self._tries.get(peer, ()) if moment > horizon]


def peer_name(address: str) -> str:
    """What counts as one peer: an address, or the /64 that one IPv6 host can choose its addresses from."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), 64), strict=False))
