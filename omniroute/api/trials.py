"""Trying connections, credentials, own endpoints, proxies and combos: verbs that call a provider and change nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from omniroute.api import times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.errors import BadRequest
from omniroute.formats.model_lists import Found
from omniroute.services.probes import Mode, Tried, find
from omniroute.services.proxies import Passage, given
from omniroute.services.trial_combos import Rehearsal, Step
from omniroute.services.verdict import Diagnosis, Verdict
from omniroute.state.base import Clock

SMALL = 16 * 1024
"""Bytes of a body here; what is longest in it is a key."""


class Tested(msgspec.Struct, frozen=True, rename="camel"):
    """What trying a connection or a credential gave. `latencyMs` is that of the call, `method` what was asked, of
    `model` where that is one thing."""

    valid: bool
    error: str | None
    diagnosis: Diagnosis
    latency_ms: int
    status_code: int | None
    tested_at: datetime
    method: str | None
    model: str | None
    warning: str | None = None
    refreshed: bool = False


class BatchLine(Tested, frozen=True, rename="camel", kw_only=True):
    """One connection of a batch."""

    provider: str
    connection_id: str
    connection_name: str
    auth_type: str


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    total: int
    passed: int
    failed: int


class Batch(msgspec.Struct, frozen=True, rename="camel"):
    mode: Mode
    provider_id: str | None
    results: list[BatchLine]
    tested_at: datetime
    summary: Summary


class TestBody(msgspec.Struct, frozen=True, rename="camel"):
    """All of it may be left out."""

    model: str = ""


class BatchBody(msgspec.Struct, frozen=True, rename="camel"):
    mode: Mode = "all"
    provider_id: str | None = None


class CredentialBody(msgspec.Struct, frozen=True, rename="camel"):
    provider: str
    api_key: str = ""
    base_url: str | None = None
    model: str = ""


class NodeBody(msgspec.Struct, frozen=True, rename="camel"):
    base_url: str
    api_key: str = ""
    type: str = ""
    model: str = ""


class NodeTested(Tested, frozen=True, rename="camel", kw_only=True):
    """What is at the address: as which `type` of node it answers, in which formats, and its models."""

    type: str
    formats: list[str]
    models: list[str]


class ModelLine(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    object: Literal["model"]
    created: int
    owned_by: Annotated[str, Meta(description="As its provider says.")] = msgspec.field(name="owned_by", default="")
    name: str | UnsetType = UNSET
    context: int | UnsetType = UNSET


class ModelsOf(msgspec.Struct, frozen=True, rename="camel"):
    """The models of a connection. `source` is `api` where the provider says so; `reason` is why it does not."""

    provider: str
    connection_id: str
    models: list[ModelLine]
    source: Literal["api", "local_catalog"]
    reason: str | None


class ProxyGiven(msgspec.Struct, frozen=True, rename="camel"):
    type: str = "http"
    host: str = ""
    port: int | str = 0
    username: str = ""
    password: str = ""


class ProxyBody(msgspec.Struct, frozen=True, rename="camel"):
    """`proxy` may be left out, for the configured one of the provider, and `provider`, for the first one."""

    proxy: ProxyGiven | None = None
    provider: str = ""


class ProxyTested(msgspec.Struct, frozen=True, rename="camel"):
    """Whether the proxy leads to the provider. `publicIp` is what the reference asks a stranger for; nobody is asked here, so it
    is always null."""

    success: bool
    latency_ms: int
    proxy_url: str
    provider: str
    error: str | None
    public_ip: str | None = None


class ComboBody(msgspec.Struct, frozen=True, rename="camel"):
    combo_name: str


class ComboLine(msgspec.Struct, frozen=True, rename="camel"):
    """One target. `connection` is the one that was asked last, null where none was."""

    model: str
    provider: str
    status: Literal["ok", "error"]
    latency_ms: int
    status_code: int | None
    error: str | None
    diagnosis: Diagnosis
    connection: str | None
    step_id: str


class ComboTested(msgspec.Struct, frozen=True, rename="camel"):
    """`resolvedBy` is the first target, in the order of the file, that answered."""

    combo_name: str
    strategy: str
    resolved_by: str | None
    results: list[ComboLine]
    tested_at: datetime


# ------------------------------------------------------------------------------------------------------- connections


async def test_connection(plane: Plane, request: Request) -> Answer:
    """One small real call on a connection; neither health nor usage hears of it."""
    body = request.json(TestBody) if request.body else TestBody()
    tried = await plane.control.bench.probes.test(request.params["id"], body.model)
    return Answer(_tested(tried.verdict))


async def test_batch(plane: Plane, request: Request) -> Answer:
    """The same for many connections at once."""
    body = request.json(BatchBody) if request.body else BatchBody()
    tried = await plane.control.bench.probes.batch(body.mode, body.provider_id or "")
    passed = sum(one.verdict.valid for one in tried)
    return Answer(
        Batch(
            mode=body.mode,
            provider_id=body.provider_id,
            results=[_line(one) for one in tried],
            tested_at=_now(plane.control.state.clock),
            summary=Summary(len(tried), passed, len(tried) - passed),
        )
    )


async def models(plane: Plane, request: Request) -> Answer:
    """Which models a connection has."""
    upstream, connection = find(plane.control.live, request.params["id"])
    listed = await plane.control.bench.models.of(upstream, connection)
    return Answer(
        ModelsOf(
            provider=upstream.name,
            connection_id=connection.id,
            models=[_model(one) for one in listed.models],
            source=listed.source,
            reason=listed.reason or None,
        )
    )


def _tested(said: Verdict) -> Tested:
    return msgspec.convert(_fields(said), Tested)


def _fields(said: Verdict) -> dict[str, object]:
    return {
        "valid": said.valid,
        "error": said.error or None,
        "diagnosis": said.diagnosis,
        "latencyMs": round(said.latency * 1e3),
        "statusCode": said.status,
        "testedAt": times.told(said.at),
        "method": said.method or None,
        "model": said.model or None,
    }


def _line(tried: Tried) -> BatchLine:
    connection = tried.connection
    kind = "apikey" if connection.auth.secret is not None else "none"
    more = {
        "provider": tried.upstream.name,
        "connectionId": connection.id,
        "connectionName": connection.name,
        "authType": "oauth" if connection.auth.scheme == "oauth" else kind,
    }
    return msgspec.convert({**_fields(tried.verdict), **more}, BatchLine)


def _model(found: Found) -> ModelLine:
    return ModelLine(
        found.id,
        "model",
        found.created,
        found.owned_by,
        found.name or UNSET,
        UNSET if found.context is None else found.context,
    )


# ------------------------------------------------------------------------------------------------ what is not configured


async def validate_credential(plane: Plane, request: Request) -> Answer:
    """Whether a provider takes a key, which is kept nowhere."""
    body = request.json(CredentialBody)
    said = await plane.control.bench.trials.credential(body.provider, body.api_key, body.base_url or "", body.model)
    return Answer(_tested(said))


async def validate_node(plane: Plane, request: Request) -> Answer:
    """What answers at an address."""
    body = request.json(NodeBody)
    node = await plane.control.bench.trials.node(body.base_url, body.api_key, body.type, body.model)
    found = {
        "type": node.type,
        "formats": [node.format] if node.verdict.valid else [],
        "models": [one.id for one in node.models],
    }
    return Answer(msgspec.convert({**_fields(node.verdict), **found}, NodeTested))


async def test_proxy(plane: Plane, request: Request) -> Answer:
    """Whether a proxy leads to a provider."""
    body = request.json(ProxyBody) if request.body else ProxyBody()
    proxy = None
    if body.proxy is not None:
        one = body.proxy
        proxy = given(one.type, one.host, _port(one.port), one.username, one.password)
    return Answer(_passage(await plane.control.bench.proxies.test(proxy, body.provider)))


def _port(said: int | str) -> int:
    if isinstance(said, int):
        return said
    if not (said.isascii() and said.isdigit() and len(said) <= 5):
        raise BadRequest("The port of a proxy is a number.", code="invalid_proxy", param="proxy")
    return int(said)


def _passage(found: Passage) -> ProxyTested:
    scheme, _, place = found.proxy.label.partition("://")
    return ProxyTested(
        success=not found.error,
        latency_ms=round(found.latency * 1e3),
        proxy_url=f"{scheme}://{'***@' if found.proxy.username is not None else ''}{place}",
        provider=found.provider,
        error=found.error or None,
    )


# ----------------------------------------------------------------------------------------------------------------- combos


async def test_combo(plane: Plane, request: Request) -> Answer:
    """Calls each target of a combo."""
    return Answer(_rehearsal(await plane.control.bench.combos.test(request.params["id"])))


async def test_named_combo(plane: Plane, request: Request) -> Answer:
    """The same, by its name in the body."""
    return Answer(_rehearsal(await plane.control.bench.combos.test(request.json(ComboBody).combo_name)))


def _rehearsal(found: Rehearsal) -> ComboTested:
    return ComboTested(
        combo_name=found.route.name,
        strategy=found.route.strategy,
        resolved_by=found.resolved_by or None,
        results=[_combo_line(number, step) for number, step in enumerate(found.steps, 1)],
        tested_at=times.told(found.at),
    )


def _combo_line(number: int, step: Step) -> ComboLine:
    said = step.verdict
    return ComboLine(
        model=step.target.id,
        provider=step.target.upstream.name,
        status=step.status,
        latency_ms=round(said.latency * 1e3),
        status_code=said.status,
        error=said.error or None,
        diagnosis=said.diagnosis,
        connection=step.connection or None,
        step_id=str(number),
    )


def _now(clock: Clock) -> datetime:
    return times.told(clock.now())


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/providers/{id}/test",
        access="admin.write",
        body_limit=SMALL,
        serve=test_connection,
        summary="Calls a connection once, in the smallest way, and says whether it works and if not, whose fault it is. Health, limits and usage do not hear of it.",
        told=Told(body=TestBody, answer=Tested, example={"model": "gpt-5-mini"}),
    ),
    Endpoint(
        method="POST",
        path="/api/providers/test-batch",
        access="admin.write",
        body_limit=SMALL,
        serve=test_batch,
        summary="The same for all connections at once, those with a key, those without, those of own nodes, or those of one provider.",
        told=Told(body=BatchBody, answer=Batch, refuses=(404,), example={"mode": "all"}),
    ),
    Endpoint(
        method="POST",
        path="/api/providers/validate",
        access="admin.write",
        body_limit=SMALL,
        serve=validate_credential,
        summary="Tries a key at a provider, in the same way, without keeping it.",
        told=Told(
            body=CredentialBody,
            answer=Tested,
            refuses=(404, 422),
            example={"provider": "openai", "apiKey": "sk-…", "model": "gpt-5-mini"},
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/providers/{id}/models",
        access="admin.read",
        body_limit=0,
        serve=models,
        summary="The models of a connection: as its provider lists them now, else as the catalogue and the file do.",
        told=Told(answer=ModelsOf),
    ),
    Endpoint(
        method="POST",
        path="/api/provider-nodes/validate",
        access="admin.write",
        body_limit=SMALL,
        serve=validate_node,
        summary="What answers at an address: as which type of node, in which format, and with which models.",
        told=Told(
            body=NodeBody,
            answer=NodeTested,
            example={"baseUrl": "http://10.0.0.7:8000/v1", "apiKey": "", "type": "openai-compatible"},
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/settings/proxy/test",
        access="admin.write",
        body_limit=SMALL,
        serve=test_proxy,
        summary="Connects through a given proxy, or the configured one, to a configured provider.",
        told=Told(
            body=ProxyBody,
            answer=ProxyTested,
            refuses=(404,),
            example={"proxy": {"type": "http", "host": "proxy.example.com", "port": 3128}, "provider": "openai"},
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/combos/{id}/test",
        access="admin.write",
        body_limit=SMALL,
        serve=test_combo,
        summary="Calls each target of a combo once, in the smallest way. Health is looked at and not touched; limits and usage do not hear of it.",
        told=Told(answer=ComboTested),
    ),
    Endpoint(
        method="POST",
        path="/api/combos/test",
        access="admin.write",
        body_limit=SMALL,
        serve=test_named_combo,
        summary="The same, by the combo's name in the body.",
        told=Told(body=ComboBody, answer=ComboTested, refuses=(404,), example={"comboName": "coding"}),
    ),
)
