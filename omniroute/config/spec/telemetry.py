"""`telemetry:`: what the gateway tells of itself to those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from omniroute.config.spec.words import Address, HeaderName, Lasting, Node, SecretRef


class TracesSpec(Node, frozen=True, kw_only=True):
    """OpenTelemetry spans by OTLP over HTTP: one of each request, one of each attempt. They have names, numbers and times,
    never a word of prompts and answers. Needs the extra `omniroute[otel]`."""

    otlp: Annotated[
        Address,
        Meta(description="The collector: its base address, to which `/v1/traces` is added, or the whole address."),
    ]
    headers: Annotated[
        Mapping[HeaderName, SecretRef], Meta(description="Headers for the collector, such as `authorization`.")
    ] = {}
    ratio: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="The share of requests that is traced, of those that come without `traceparent`; one that has it is "
            "traced where it says so.",
        ),
    ] = 1.0
    service_name: Annotated[str, Meta(min_length=1, max_length=128, description="`service.name` of the spans.")] = (
        "omniroute"
    )
    timeout: Annotated[Lasting, Meta(description="How long the collector may take to answer.")] = "10s"


class LogsSpec(Node, frozen=True, kw_only=True):
    """What is written to standard error. The level is `OMNIROUTE_LOG_LEVEL`."""

    format: Annotated[
        Literal["text", "json"], Meta(description="Lines for people, or one JSON object a line for programs.")
    ] = "text"
    requests: Annotated[
        bool,
        Meta(
            description="Whether each request gets a line: who asked for which model, who served, tokens, cost, times."
        ),
    ] = False


class PayloadsSpec(Node, frozen=True, kw_only=True):
    """Prompts and answers are not kept."""

    store: Annotated[bool, Meta(description="`false`: to store prompts and answers is not supported.")] = False


class TelemetrySpec(Node, frozen=True, kw_only=True):
    """What the gateway tells of itself: metrics, traces and logs. Never what prompts and answers say."""

    metrics: Annotated[
        bool | Literal["public"],
        Meta(
            description="Whether `/metrics` is there, for who has the role `admin.read`; `public` gives it to everyone who "
            "can reach the gateway."
        ),
    ] = True
    traces: Annotated[TracesSpec | None, Meta(description="Spans of requests; none, if absent.")] = None
    logs: Annotated[LogsSpec, Meta(description="Lines on standard error.")] = LogsSpec()
    payloads: Annotated[PayloadsSpec, Meta(description="Prompts and answers.")] = PayloadsSpec()
