"""Health that is looked at and not touched: what a trial call goes by, and what it must not change."""

from __future__ import annotations

from collections.abc import Mapping

from omniroute.state.base import Breakers, Outcome, Permit, Profile, View


class Looking:
    """`Breakers` over those that are live. Leave is given as they would give it, but no probe is taken from them, and
    what becomes of a call is not told to them."""

    def __init__(self, live: Breakers) -> None:
        self._live = live

    def is_calm(self) -> bool:
        return self._live.is_calm()

    def view(self, connection: str, now: float) -> View | None:
        return self._live.view(connection, now)

    def admit(self, connection: str, now: float) -> Permit | None:
        seen = self._live.view(connection, now)
        return None if seen is not None and seen.blocked else "go"

    def note(
        self,
        connection: str,
        outcome: Outcome,
        now: float,
        retry_after: float | None,
        profile: Profile,
        *,
        probe: bool = False,
    ) -> None:
        """Nothing: that is what it is for."""

    def known(self, now: float) -> Mapping[str, View]:
        return self._live.known(now)
