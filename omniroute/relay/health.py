"""Leave to call a candidate, and what its connection and its model hear of how the call ended and of what
is left of their limits."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import msgspec

from omniroute.errors import UpstreamError
from omniroute.routing.plan import Candidate
from omniroute.state.base import Outcome, State, on
from omniroute.upstream import quota
from omniroute.upstream.scope import scope_of


class Leave(msgspec.Struct, frozen=True):
    """Leave to call a candidate: whether the call is the probe of its connection, and of its model there."""

    connection: bool = False
    model: bool = False

    def __bool__(self) -> bool:
        return self.connection or self.model


SHARED: frozenset[Outcome] = frozenset({"rate_limited", "quota"})
"""Outcomes that say something of all connections that share the quota."""
NOTHING = b"0"
"""What an answer says of a limit that is used up."""
_value = itemgetter(1)
GO = Leave()
"""Leave for a call that is no probe."""


def leave(state: State, candidate: Candidate, now: float) -> Leave | None:
    """Leave to call; None where the connection or the model on it is blocked. It is given back with `report`."""
    breakers, connection = state.breakers, candidate.connection
    if breakers.is_calm():
        return GO
    first = breakers.admit(connection.id, now)
    if first is None:
        return None
    second = breakers.admit(on(connection.id, candidate.target.model), now)
    if second == "go" and first == "go":
        return GO
    given = Leave(first == "probe", second == "probe")
    if second is None:
        report(state, candidate, given, "abandoned", None, now)
        return None
    return given


def report(
    state: State, candidate: Candidate, given: Leave, outcome: Outcome, failure: UpstreamError | None, now: float
) -> None:
    """What became of the call. A failure counts against what it was about, and tells nothing of the other."""
    if failure is None and state.breakers.is_calm():  # what did not fail counts against nobody
        return
    connection, model = candidate.connection, candidate.target.model
    of_connection = of_model = outcome
    about_model = failure is not None and scope_of(failure, model) == "model"
    if failure is not None:
        of_connection, of_model = ("abandoned", outcome) if about_model else (outcome, "abandoned")
    wait = failure.fault.retry_after if failure is not None else None
    note, profile = state.breakers.note, connection.profile
    note(connection.id, of_connection, now, wait, profile, probe=given.connection)
    note(on(connection.id, model), of_model, now, wait, profile, probe=given.model)
    if failure is not None and outcome in SHARED:
        for sibling in connection.siblings:
            note(on(sibling, model) if about_model else sibling, outcome, now, wait, profile)


def learn(state: State, candidate: Candidate, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Takes from an answer what the provider says is left of its limits."""
    now = state.clock.monotonic()
    connection = candidate.connection.id
    if state.quotas.rests(connection, now) and NOTHING not in map(_value, headers):
        return
    told = quota.told(headers)
    if not told:
        return
    plenty = True
    for scope, allowances in quota.allowances(told, state.clock.now(), now).items():
        name = connection if scope == "connection" else on(connection, candidate.target.model)
        state.quotas.learn(name, allowances, now)
        plenty = plenty and all(one.plenty for one in allowances)
    if plenty:
        state.quotas.rest(connection, now)
