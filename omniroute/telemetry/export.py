"""Spans of requests that are over, by OTLP over HTTP: the only module that knows OpenTelemetry.

Spans are made from the records: one of the request, one of each attempt that called a provider, with the times that they
really had. The library's batch processor sends them from its own thread, drops what a collector does not take in time,
and is told everything explicitly, since it would read its settings from the environment.
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from threading import Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from omniroute import __version__
from omniroute.config.bundle import Bundle
from omniroute.errors import ConfigError
from omniroute.routing.tables import Tracing
from omniroute.state.base import Attempt, UsageRow
from omniroute.state.trace import Trace, attempt

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

log = logging.getLogger("omniroute.telemetry")
OPERATIONS: Mapping[str, str] = MappingProxyType(
    {"chat": "chat", "embeddings": "embeddings", "images": "generate_content"}
)
"""Ours by the names of the conventions; for what they have no name, ours stands."""
PROVIDERS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "openai",
        "anthropic": "anthropic",
        "gemini": "gcp.gemini",
        "mistral": "mistral_ai",
        "groq": "groq",
        "deepseek": "deepseek",
        "xai": "x_ai",
        "cohere": "cohere",
        "perplexity": "perplexity",
    }
)
"""Those of the catalogue by the names of the conventions; others have their own."""
QUEUE = 8192
BATCH = 512
DELAY = 1.0
"""Seconds in which spans gather."""
_EXTRA = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def require(bundle: Bundle) -> None:
    """Raises ConfigError where traces are configured and the libraries for them are not installed."""
    if bundle.spec.telemetry.traces is None or is_installed():
        return
    message = "traces need OpenTelemetry's SDK and its exporter, which are not installed"
    hint = "pip install 'omniroute[otel]'"
    raise ConfigError([bundle.problem("OR370", ("telemetry", "traces"), message, hint, key=True)])


def is_installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in _EXTRA)
    except ModuleNotFoundError:  # not even the package around it
        return False


class Exporter:
    """Sends spans to one collector."""

    def __init__(self, tracing: Tracing) -> None:
        from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415 - an extra, and 0.2 s
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from requests import Session  # noqa: PLC0415

        session = Session()
        session.trust_env = False  # no proxy and no password that only the environment or ~/.netrc knows of
        exporter = OTLPSpanExporter(
            endpoint=tracing.endpoint,
            headers={name: value.reveal() for name, value in tracing.headers},
            timeout=tracing.timeout,
            compression=Compression.Gzip,
            session=session,
        )
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=DELAY * 1e3,
            max_export_batch_size=BATCH,
            export_timeout_millis=tracing.timeout * 1e3,
        )
        self._resource = Resource({"service.name": tracing.service_name, "service.version": __version__})

    def export(self, seen: Iterable[tuple[UsageRow, Trace]]) -> None:
        """Hands the spans over. Never waits for the collector."""
        for row, trace in seen:
            for span in spans(row, trace, self._resource):
                self._processor.on_end(span)

    def close(self, seconds: float) -> None:
        """Sends what is left, for so long at the most."""
        closing = Thread(target=self._processor.shutdown, name="telemetry-close", daemon=True)
        closing.start()
        closing.join(seconds)
        if closing.is_alive():
            log.warning("the collector of traces did not take the last spans in time")


def spans(row: UsageRow, trace: Trace, resource: Any) -> Iterator[ReadableSpan]:
    """Those of the attempts, and that of the request around them."""
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - an extra
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415

    def context(span: int, *, remote: bool = False) -> SpanContext:
        return SpanContext(trace.trace, span, is_remote=remote, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    ours = context(trace.span)
    operation = OPERATIONS.get(row.operation, row.operation)
    for one in row.attempts:
        if one.outcome == "skipped":  # nobody was called
            continue
        provider, _, model = one.target.partition("/")
        began = row.started + one.at / 1e3
        failed = one.outcome not in ("success", "abandoned")
        yield ReadableSpan(
            f"{operation} {model}",
            context(attempt(trace, one.target, one.connection, one.at)),
            ours,
            resource,
            _of_attempt(one, operation, provider, model),
            kind=SpanKind.CLIENT,
            status=Status(StatusCode.ERROR, one.outcome) if failed else Status(StatusCode.UNSET),
            start_time=_nanoseconds(began),
            end_time=_nanoseconds(began + one.ms / 1e3),
        )
    failed = row.status >= 500 or row.status == 0
    yield ReadableSpan(
        f"{operation} {row.route or row.model}".rstrip(),
        ours,
        context(trace.parent, remote=True) if trace.parent else None,
        resource,
        _of_request(row, operation),
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR, row.code or row.error) if failed else Status(StatusCode.UNSET),
        start_time=_nanoseconds(row.started),
        end_time=_nanoseconds(row.started + row.total_ms / 1e3),
    )


def _of_request(row: UsageRow, operation: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": row.requested,
        "gen_ai.request.stream": row.stream,
        "http.response.status_code": row.status,
        "omniroute.request.id": row.request_id,
        "omniroute.key": row.key,
        "omniroute.format": row.format,
        "omniroute.route": row.route,
        "omniroute.config.revision": row.revision[:12],
        "omniroute.gateway.duration": round(row.gateway_ms / 1e3, 6),
        "omniroute.attempts": len(row.attempts),
    }
    if row.provider:
        told["gen_ai.provider.name"] = PROVIDERS.get(row.provider, row.provider)
        told["gen_ai.response.model"] = row.model
        told["gen_ai.usage.input_tokens"] = row.input
        told["gen_ai.usage.output_tokens"] = row.output
    sometimes = {
        "gen_ai.usage.cache_read.input_tokens": row.cached,
        "gen_ai.usage.cache_creation.input_tokens": row.cache_write,
        "gen_ai.usage.reasoning.output_tokens": row.reasoning,
        "gen_ai.conversation.id": row.session,
        "omniroute.cache": row.cache,
        "omniroute.policies": row.policies,
        "omniroute.losses": row.losses,
        "error.type": row.code or row.error,
    }
    told |= {name: value for name, value in sometimes.items() if value}
    if row.cost is not None:
        told["omniroute.cost.usd"] = float(row.cost)
    if row.ttft_ms is not None and row.stream:
        told["gen_ai.response.time_to_first_chunk"] = round(row.ttft_ms / 1e3, 6)
    return told


def _of_attempt(one: Attempt, operation: str, provider: str, model: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDERS.get(provider, provider),
        "gen_ai.request.model": model,
        "omniroute.provider": provider,
        "omniroute.connection": one.connection,
        "omniroute.outcome": one.outcome,
    }
    if one.status is not None:
        told["http.response.status_code"] = one.status
    if one.outcome == "success":
        told["gen_ai.usage.input_tokens"] = one.input
        told["gen_ai.usage.output_tokens"] = one.output
    elif one.outcome != "abandoned":
        told["error.type"] = one.outcome
    if one.cost is not None:
        told["omniroute.cost.usd"] = float(one.cost)
    return told


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
