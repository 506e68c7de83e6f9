"""From `telemetry:` to what is told, and to whom."""

from __future__ import annotations

from omniroute.config.secrets import Resolver
from omniroute.config.spec.telemetry import TelemetrySpec, TracesSpec
from omniroute.config.spec.words import seconds
from omniroute.routing.tables import Telemetry, Tracing

SIGNAL = "/v1/traces"
"""Where a collector takes spans, below its base address (OTLP/HTTP)."""


def telemetry(spec: TelemetrySpec, resolver: Resolver) -> Telemetry:
    return Telemetry(
        metrics="public" if spec.metrics == "public" else "admin.read" if spec.metrics else "nobody",
        tracing=None if spec.traces is None else _tracing(spec.traces, resolver),
        json_logs=spec.logs.format == "json",
        log_requests=spec.logs.requests,
    )


def _tracing(spec: TracesSpec, resolver: Resolver) -> Tracing:
    at = ("telemetry", "traces")
    base = resolver.address(spec.otlp, (*at, "otlp")).rstrip("/")
    return Tracing(
        endpoint=base if base.endswith(SIGNAL) else base + SIGNAL,
        headers=tuple(
            (name.lower(), resolver.secret(value, (*at, "headers", name))) for name, value in spec.headers.items()
        ),
        ratio=spec.ratio,
        service_name=spec.service_name,
        timeout=seconds(spec.timeout),
    )
