"""Why a request would go where it goes, and whether policies do what their tests say: looked at, never called.

The JSON is that of `omniroute explain model --json` and `omniroute test --json`. Here the decision is told as things
stand in this process: health, limits and budgets are those of now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.config.spec.scenarios import GivenSpec
from omniroute.errors import BadRequest, NotFound
from omniroute.routing.explain import Explanation

SMALL = 64 * 1024


def _load() -> None:
    """What plays requests is loaded by the first who asks for it, in a thread: 2.5 MB that most gateways never need."""
    from omniroute.scenarios import asking, runner  # noqa: F401, PLC0415


class Asked(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A request that somebody supposes, in the words of scenarios ([configuration.md](configuration.md)). `key` is the name
    of a key, `at` when it would come, now if absent; `tokens` and `has` say what its prompt is like."""

    model: Annotated[str, Meta(min_length=1)]
    key: str | None = None
    format: str = "openai_chat"
    operation: str = "chat"
    stream: bool = False
    tokens: int | None = None
    has: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    ip: str = "127.0.0.1"
    at: str | None = None


class PolicyTest(msgspec.Struct, frozen=True, rename="camel"):
    """With a `model` and all that `/api/explain` takes, what the policies do with such a request; without one, their own
    tests are run, those of one `policy` or of all."""

    policy: str | None = None
    model: str | None = None


async def explain(plane: Plane, asked: Request) -> Answer:
    """The candidates in order, each accepted or not, and why."""
    await asyncio.to_thread(_load)
    return Answer(_explained(plane, asked))


def _explained(plane: Plane, asked: Request) -> Explanation:
    from omniroute.scenarios import asking, request  # noqa: PLC0415 - see `_load`

    body = asked.json(Asked)
    known = {principal.name for principal in plane.control.live.current.principals.values()}
    if body.key is not None and body.key not in known:
        raise NotFound(f"There is no key named `{body.key[:128]}` here.", code="key_not_found", param="key")
    given = _given(body)
    chat = request.chat(msgspec.structs.replace(given, tokens=None))  # what is lost depends on no length
    return asking.told(plane.control.live.current, plane.control.state, given, chat)


def _given(body: Asked) -> GivenSpec:
    fields: dict[str, Any] = {
        name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not None
    }
    fields.setdefault("at", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    try:
        made = msgspec.convert(fields, GivenSpec)
        datetime.fromisoformat(made.at)
    except ValueError as error:
        raise BadRequest(f"There is no such request: {error}.", code="invalid_body") from None
    return made


async def test_policies(plane: Plane, asked: Request) -> Answer:
    """What policies do with a request, or whether their tests pass."""
    await asyncio.to_thread(_load)
    from omniroute.scenarios import runner  # noqa: PLC0415 - see `_load`
    from omniroute.scenarios.case import cases  # noqa: PLC0415

    body = asked.json(PolicyTest) if asked.body else PolicyTest()
    if body.model is not None:
        return Answer(_explained(plane, asked))
    bundle = plane.control.bundle
    if body.policy is not None and body.policy not in bundle.spec.policies:
        raise NotFound(f"There is no policy `{body.policy[:128]}` here.", code="policy_not_found", param="policy")
    chosen = [case for case in cases(bundle) if case.policy and body.policy in (None, case.policy)]
    return Answer(await asyncio.to_thread(runner.run, bundle, plane.control.catalog, chosen))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/explain",
        access="admin.write",
        body_limit=SMALL,
        serve=explain,
        summary="Where a request would go now: the candidates in order, each accepted or rejected with its reason, policies with their places, limits, budgets, losses. Nobody is called.",
        told=Told(
            body=Asked,
            answer=Explanation,
            refuses=(404,),
            example={"model": "coding", "key": "team-a", "format": "anthropic", "tokens": 50000, "has": ["tools"]},
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/policies/test",
        access="admin.write",
        body_limit=SMALL,
        serve=test_policies,
        summary="With a `model`, what the policies do with such a request, as `/api/explain` tells it; without one, runs the tests of one `policy` or of all.",
        told=Told(body=PolicyTest, refuses=(404,), example={"policy": "no-eu-data-to-us"}),
    ),
)
