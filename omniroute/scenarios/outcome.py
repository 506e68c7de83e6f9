"""What became of a scenario's request, and wherein it differs from what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from omniroute.config.spec.scenarios import ExpectSpec
from omniroute.formats.codecs import CHAT
from omniroute.relay.asgi import Message
from omniroute.relay.call import Call
from omniroute.relay.headers import losses
from omniroute.scenarios.request import decoded
from omniroute.scenarios.upstream import Sent

ERROR = 400
"""The first status that is a refusal."""


class Weighed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A connection of a model that might have served; `skipped` says why it could not."""

    target: str
    connection: str
    skipped: str = ""


class Told(msgspec.Struct):
    """An answer as its client got it, in the format that it speaks."""

    format: str
    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""

    async def send(self, message: Message) -> None:
        """Takes the answer as an ASGI server does."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a request, as far as anything is known of it: one that is refused early has no route."""

    status: int
    code: str = ""
    message: str = ""
    route: str = ""
    policies: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    candidates: tuple[Weighed, ...] = ()
    tried: tuple[str, ...] = ()
    target: str = ""
    connection: str = ""
    losses: tuple[str, ...] = ()
    cost: Decimal | None = None
    headers: dict[str, str] = {}
    sent: str = ""

    @property
    def order(self) -> tuple[str, ...]:
        """The models that may serve, in the order of trial."""
        return tuple(dict.fromkeys(one.target for one in self.candidates if not one.skipped))

    @property
    def answered(self) -> bool:
        return self.status < ERROR


class Difference(msgspec.Struct, frozen=True):
    """Something that was expected, and what came instead."""

    what: str
    expected: Any
    got: Any


def outcome(call: Call | None, told: Told, sent: Sequence[Sent]) -> Outcome:
    """What became of a call and what its client was told; of a call that was refused at the door there is only that."""
    if call is None:
        fault = CHAT[told.format].decode_error(told.status, told.body)
        return Outcome(status=told.status, code=fault.code or "", message=fault.message, headers=told.headers)
    answered = told.status < ERROR
    return Outcome(
        status=told.status,
        code=(call.fault.code or "") if call.fault else "",
        message=call.fault.message if call.fault else "",
        route=call.route.name if call.route else "",
        policies=tuple(policy.name for policy in call.policies),
        shadows=tuple(policy.name for policy in call.shadows),
        candidates=tuple(Weighed(one.target.id, one.connection.id, one.skip) for one in call.candidates),
        tried=tuple(one.target for one in sent),
        target=call.target.id if answered and call.target else "",
        connection=call.connection.id if answered and call.connection else "",
        losses=losses(call.losses),
        cost=call.cost,
        headers=told.headers,
        sent=sent[-1].body.decode("utf-8", "replace") if sent else "",
    )


# ----------------------------------------------------------------------------------------------------------- judgement


def differences(expect: ExpectSpec, got: Outcome) -> tuple[Difference, ...]:
    """Wherein the outcome is not what was expected; nothing where it is."""
    return tuple(_differences(expect, got))


def _differences(expect: ExpectSpec, got: Outcome) -> Iterator[Difference]:
    refusal = expect.denied is not None or expect.code is not None
    if expect.status is None and got.answered == refusal:
        told = "answered" if got.answered else f"{got.status} {got.code}: {got.message}"
        yield Difference("status", "a refusal" if refusal else "an answer", told)
    for name, same in SAME.items():
        wanted = getattr(expect, name)
        if wanted is not None and not same(wanted, getattr(got, SOURCES.get(name, name))):
            yield Difference(name, wanted, getattr(got, SOURCES.get(name, name)))
    for name, value in expect.headers.items():
        if got.headers.get(name.lower()) != value:
            yield Difference(f"headers.{name}", value, got.headers.get(name.lower()))
    body = decoded(got.sent.encode())
    for place, value in expect.sent.items():
        there = _at(body, place)
        if there != value:
            yield Difference(f"sent.{place}", value, there)


def _equal(wanted: object, got: object) -> bool:
    return wanted == got


def _costs(wanted: float, got: Decimal | None) -> bool:
    return got is not None and Decimal(repr(wanted)) == got


SAME: dict[str, Callable[[Any, Any], bool]] = {
    "status": _equal,
    "code": _equal,
    "denied": lambda wanted, got: wanted in got,
    "route": _equal,
    "policies": _equal,
    "order": _equal,
    "tried": _equal,
    "target": _equal,
    "connection": _equal,
    "losses": lambda wanted, got: set(wanted) == set(got),
    "cost": _costs,
}
"""When what came is what was expected, by the key of `expect`."""
SOURCES = {"denied": "message"}
"""What of the outcome a key is about, where it has another name."""


def _at(data: Any, place: str) -> Any:
    """The value at a place, None where there is nothing."""
    for step in place.split("."):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data
