"""`/api/resilience`: how patient the gateway is with providers that fail, and a fresh start for all of them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from omniroute.api import audit
from omniroute.api.crud import Body, Section, Shown
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.leaves import Steps, found
from omniroute.api.plane import Plane
from omniroute.api.resources.fields import changed, duration, milliseconds
from omniroute.api.write import Changes, Draft, View
from omniroute.config.spec.resilience import ProfileSpec
from omniroute.errors import BadRequest

ROOT: Steps = ("resilience",)


class ProfileShown(Shown, frozen=True, kw_only=True):
    """How patient the gateway is with a connection."""

    failure_threshold: int
    reset_timeout_ms: int
    cooldown_ms: int
    max_cooldown_ms: int
    honour_retry_after: bool


class ProfilesShown(Shown, frozen=True, kw_only=True):
    """By the way a connection shows who it is."""

    apikey: ProfileShown
    oauth: ProfileShown


class QueueShown(Shown, frozen=True, kw_only=True):
    """Whether a request may wait for a place; of `concurrent`, 0 means no limit."""

    max_wait_ms: int
    concurrent: int


class BreakerShown(Shown, frozen=True, kw_only=True):
    """A connection, or a model on one, that something is known against."""

    name: str
    state: str
    failures: int
    reason: str
    remaining_ms: int


class ResilienceShown(Shown, frozen=True, kw_only=True):
    """The profiles, the queue, and what is known against whom."""

    profiles: ProfilesShown
    queue: QueueShown
    circuit_breakers: list[BreakerShown]


class ProfileBody(Body, frozen=True, kw_only=True):
    """What is to change of a profile. The last four are what other gateways call the same."""

    failure_threshold: int | UnsetType = UNSET
    reset_timeout_ms: float | UnsetType = UNSET
    cooldown_ms: float | UnsetType = UNSET
    max_cooldown_ms: float | UnsetType = UNSET
    honour_retry_after: bool | UnsetType = UNSET
    circuit_breaker_threshold: int | UnsetType = UNSET
    circuit_breaker_reset: float | UnsetType = UNSET
    transient_cooldown: float | UnsetType = UNSET
    base_cooldown_ms: float | UnsetType = UNSET
    use_upstream_retry_hints: bool | UnsetType = UNSET


class ProfilesBody(Body, frozen=True, kw_only=True):
    """What is to change of the profiles."""

    apikey: ProfileBody | UnsetType = UNSET
    oauth: ProfileBody | UnsetType = UNSET


class QueueBody(Body, frozen=True, kw_only=True):
    """What is to change of the queue."""

    max_wait_ms: float | UnsetType = UNSET
    concurrent: int | UnsetType = UNSET
    concurrent_requests: int | UnsetType = UNSET


class ResilienceBody(Body, frozen=True, kw_only=True):
    """What is to change. The last three are where other gateways have the same."""

    profiles: ProfilesBody | UnsetType = UNSET
    queue: QueueBody | UnsetType = UNSET
    request_queue: QueueBody | UnsetType = UNSET
    connection_cooldown: ProfilesBody | UnsetType = UNSET
    provider_breaker: ProfilesBody | UnsetType = UNSET


class Reset(Shown, frozen=True, kw_only=True):
    """How many were let off."""

    ok: bool
    reset_count: int
    message: str


def _shown(now: View) -> ResilienceShown:
    spec, state = now.bundle.spec.resilience, now.control.state
    moment = state.clock.monotonic()
    return ResilienceShown(
        profiles=ProfilesShown(apikey=_profile(spec.profiles.api_key), oauth=_profile(spec.profiles.oauth)),
        queue=QueueShown(max_wait_ms=milliseconds(spec.queue.max_wait), concurrent=spec.queue.concurrent),
        circuit_breakers=[
            BreakerShown(
                name=name,
                state=known.state,
                failures=known.failures,
                reason=known.reason,
                remaining_ms=max(0, round((known.until - moment) * 1000)),
            )
            for name, known in ({} if now.at_rest else state.breakers.known(moment)).items()
        ],
    )


def _profile(spec: ProfileSpec) -> ProfileShown:
    return ProfileShown(
        failure_threshold=spec.failure_threshold,
        reset_timeout_ms=milliseconds(spec.reset_timeout),
        cooldown_ms=milliseconds(spec.cooldown),
        max_cooldown_ms=milliseconds(spec.max_cooldown),
        honour_retry_after=spec.honour_retry_after,
    )


OTHER = {
    "failure_threshold": "circuit_breaker_threshold",
    "reset_timeout_ms": "circuit_breaker_reset",
    "cooldown_ms": "transient_cooldown",
    "honour_retry_after": "use_upstream_retry_hints",
    "concurrent": "concurrent_requests",
}
"""Fields by what other gateways call them."""


def _changes(draft: Draft, body: ResilienceBody) -> Changes:
    made: dict[Steps, Any] = {}
    for part in (body.profiles, body.connection_cooldown, body.provider_breaker):
        for name, key in (("apikey", "api_key"), ("oauth", "oauth")):
            one = getattr(part, name, UNSET)
            if isinstance(one, ProfileBody):
                place = (*ROOT, "profiles", key)
                made[place] = changed(made.get(place, found(draft.bundle, place)), _profile_data(one))
    for queue in (body.queue, body.request_queue):
        if isinstance(queue, QueueBody):
            place = (*ROOT, "queue")
            data = {"max_wait": duration(queue.max_wait_ms), "concurrent": _said(queue, "concurrent")}
            made[place] = changed(made.get(place, found(draft.bundle, place)), data)
    return made


def _profile_data(body: ProfileBody) -> dict[str, Any]:
    cooldown = _said(body, "cooldown_ms") if body.base_cooldown_ms is UNSET else body.base_cooldown_ms
    return {
        "failure_threshold": _said(body, "failure_threshold"),
        "reset_timeout": duration(_said(body, "reset_timeout_ms")),
        "cooldown": duration(cooldown),
        "max_cooldown": duration(body.max_cooldown_ms),
        "honour_retry_after": _said(body, "honour_retry_after"),
    }


def _said(body: Any, name: str) -> Any:
    """A field under either of its names; BadRequest where they differ."""
    one, other = getattr(body, name), getattr(body, OTHER[name])
    if one is not UNSET and other is not UNSET and one != other:
        raise BadRequest("A field is there under two names, and they differ.", code="invalid_body")
    return other if one is UNSET else one


RESILIENCE = Section(
    path="/api/resilience",
    noun="how patient the gateway is",
    action="resilience.update",
    places=[ROOT],
    body=ResilienceBody,
    shown_type=ResilienceShown,
    shown=_shown,
    changes=_changes,
    told_only=frozenset({"circuitBreakers"}),
    change={"profiles": {"apikey": {"failureThreshold": 5, "cooldownMs": 1500}}, "queue": {"maxWaitMs": 2000}},
)


async def reset(plane: Plane, request: Request) -> Answer:
    """Nothing is known against anybody any more: circuits close, and pauses end."""
    state = plane.control.state
    count = state.breakers.reset()
    state.line.offer()
    await audit.record(plane, request, "resilience.reset", detail={"count": str(count)})
    return Answer(Reset(ok=True, reset_count=count, message=f"{count} connections and models have a fresh start."))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/resilience/reset",
        access="admin.write",
        body_limit=4096,
        serve=reset,
        summary="Closes all circuits and ends all pauses.",
        told=Told(answer=Reset),
    ),
)
