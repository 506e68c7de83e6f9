"""What a request means here and who may serve it, or why nobody may: all that is settled before anything is sent."""

from __future__ import annotations

from omniroute.errors import BadRequest, Forbidden, LimitReached, NotFound, Unavailable
from omniroute.relay.admit import check_model, check_role
from omniroute.relay.call import Call
from omniroute.relay.facts import look
from omniroute.relay.orders import shadow_finds
from omniroute.relay.subject import Asked
from omniroute.routing.plan import Candidate, plan
from omniroute.routing.policies import holding, rerouted, shadows
from omniroute.routing.resolve import at_provider, resolve, variant
from omniroute.routing.strategies import Turn
from omniroute.state.base import Attempt


def decide(call: Call) -> None:
    """Settles what the request means: the name without its variant, the route, the policies. Raises CallError where the
    caller may not, or nothing has this name."""
    head, principal = call.head, call.principal
    assert head is not None
    assert principal is not None
    name, call.variant = variant(head.model)
    call.asked = at_provider(call.gateway, call.provider, name) if call.provider else name
    check_model(principal, call.asked)
    call.route = resolve(call.gateway, call.asked)
    _consult(call)


def _consult(call: Call) -> None:
    """The policies that speak about the request, and where they have it go."""
    gateway, principal, route = call.gateway, call.principal, call.route
    assert principal is not None
    assert route is not None
    standing = gateway.policies.standing(principal, call.operation)
    call.policies, call.shadows = standing.enforced, standing.shadow
    if standing.asked:
        subject = Asked(call)
        call.policies, call.shadows = holding(call.policies, subject), holding(call.shadows, subject)
    instead = rerouted(call.policies, call.asked, route) if call.policies else ""
    if instead:
        call.route = resolve(gateway, instead)


def choose(call: Call, turn: Turn) -> list[Candidate]:
    """The candidates that may be tried, in order; `turn` gives the turns of rotations. Raises CallError if there are
    none."""
    candidates = planned(call, turn)
    taken = accepted(call, candidates)
    if not taken:
        raise refusal(call, candidates, call.state.clock.monotonic())
    return taken


def planned(call: Call, turn: Turn) -> list[Candidate]:
    """All candidates in order, also those that may not be tried."""
    route = call.route
    assert route is not None
    now = call.state.clock.monotonic()
    call.facts = look(call, route.needs)
    candidates = plan(
        route,
        call.state,
        now,
        turn=turn,
        asked=call.asked,
        operation=call.operation,
        policies=call.policies,
        limits=call.hold.candidates if call.hold is not None else (),
        tokens=call.hold.tokens if call.hold is not None else 0,
        facts=call.facts,
    )
    forced = _forced(call)
    if forced:
        candidates = [candidate for candidate in candidates if candidate.connection.id == forced]
        if not candidates:
            message = f"`{call.asked}` is not served by a connection `{forced}`."
            raise BadRequest(message, code="connection_not_for_this", param="X-OmniRoute-Connection")
    call.candidates = candidates
    if call.shadows:
        call.would_act = _would_act(call, candidates)
    return candidates


def _forced(call: Call) -> str:
    """The connection that an administrator wants and no other; empty where nobody does. Raises Forbidden for others."""
    value = call.named.get(b"x-omniroute-connection")
    if value is None:
        return ""
    assert call.principal is not None
    check_role(call.principal, "admin.write")
    return value.decode("latin-1")


def _would_act(call: Call, candidates: list[Candidate]) -> list[str]:
    """The policies in the shadow that would have done something to the request, in their order."""
    assert call.route is not None
    targets = list({candidate.target.id: candidate.target for candidate in candidates}.values())
    names = set(shadows(call.shadows, call.asked, call.route, targets, call.started_at))
    for target in targets:
        names.update(shadow_finds(call, target))
    return [policy.name for policy in call.shadows if policy.name in names]


def usable(candidates: list[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if not candidate.skip]


def accepted(call: Call, candidates: list[Candidate]) -> list[Candidate]:
    """Those that may be tried; they say how long the request may take."""
    taken = usable(candidates)
    call.deadline = call.started + patience(taken)
    return taken


def patience(candidates: list[Candidate]) -> float:
    """Seconds for the whole request: what its targets may take, one after the other."""
    if len(candidates) == 1:
        return candidates[0].target.deadlines.total
    targets = {candidate.target.id: candidate.target for candidate in candidates if not candidate.denied}
    return sum(target.deadlines.total for target in targets.values())


def refusal(call: Call, candidates: list[Candidate], now: float) -> Exception:
    """Why none of the candidates may be tried; those that wait are told apart from those that are denied."""
    call.attempts += [Attempt(c.target.id, c.connection.id, "skipped", message=c.skip) for c in candidates]
    waiting = [candidate for candidate in candidates if not candidate.denied]
    if not waiting:
        return _denied(candidates) if candidates else nothing_left(candidates)
    soonest = min(waiting, key=lambda candidate: candidate.until)
    wait = max(1.0, soonest.until - now)
    reasons = ", ".join(f"`{candidate.connection.id}` ({candidate.skip})" for candidate in waiting[:4])
    message = f"Nothing can serve this now: {reasons}. Try again in {wait:.0f} s."
    if all(candidate.kind == "no_model" for candidate in waiting):
        names = ", ".join(f"`{candidate.target.id}`" for candidate in waiting[:4])
        return NotFound(
            f"The provider does not have {names}, as it has just said.", code="model_not_found", param="model"
        )
    if all(candidate.limited for candidate in waiting):
        return LimitReached(message, retry_after=wait)
    if all(candidate.kind == "rate_limited" for candidate in waiting):
        return LimitReached(message, code="all_connections_cooling", retry_after=wait)
    return Unavailable(message, code="all_connections_cooling", retry_after=wait)


def _denied(candidates: list[Candidate]) -> Exception:
    """A policy's word counts more than that another model is for something else."""
    first = next((candidate for candidate in candidates if candidate.denied == "policy"), candidates[0])
    match first.denied:
        case "policy":
            return Forbidden(first.skip, code="denied_by_policy")
        case "condition":
            reasons = "; ".join(
                dict.fromkeys(f"`{c.target.id}` is {c.skip}" for c in candidates if c.denied == "condition")
            )
            return BadRequest(f"No target takes this request: {reasons}.", code="no_target_for_this", param="model")
    return BadRequest(f"{first.skip}.", code="model_not_for_this", param="model")


def nothing_left(candidates: list[Candidate]) -> Unavailable:
    names = ", ".join(f"`{candidate.connection.id}`" for candidate in candidates) or "no connection is configured"
    return Unavailable(f"Nothing can serve this now: {names}.", code="no_candidate", retry_after=1.0)
