"""What is remembered of a try for the requests after it: scores of the combos that order by them, homes of sessions."""

from __future__ import annotations

from omniroute.relay.call import Call
from omniroute.routing.plan import Candidate
from omniroute.routing.strategies import STRATEGIES, name
from omniroute.state.base import Outcome
from omniroute.state.sessions import Home

VERDICT: dict[Outcome, bool | None] = {"success": True, "abandoned": None, "invalid": None}
"""What an outcome says of the target; one that is not here is a failure."""


def began(call: Call, candidate: Candidate, now: float) -> None:
    """A try begins."""
    for route, step in candidate.steps():
        if STRATEGIES[route.strategy].scored:
            call.state.scores.began(route.name, name(step), now)


def ended(call: Call, candidate: Candidate, outcome: Outcome, began: float, now: float) -> None:
    """It is over. A stream has answered when its first content was there, however long it went on."""
    good = VERDICT.get(outcome, False)
    seconds = (call.first_byte or now) - began
    session = call.facts.session
    sticky = False
    for route, step in candidate.steps():
        if STRATEGIES[route.strategy].scored:
            call.state.scores.ended(route.name, name(step), now, good=good, seconds=seconds, stream=call.facts.stream)
        sticky = sticky or route.sticky
        if sticky and session and good:
            call.state.sessions.settle(route.name, session, Home(name(step), candidate.connection.id), now)
