"""A line for each request: who asked for what, who served it, and what it took. No word of its content.

The fields go along with the record, so that they are keys of their own where lines are JSON.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from omniroute.state.base import UsageRow

log = logging.getLogger("omniroute.requests")
FIELDS = "fields"
"""The attribute of a log record that holds the fields of its event."""
LONGEST = 200
"""Characters of what clients name."""


def write(rows: Iterable[UsageRow]) -> None:
    if not log.isEnabledFor(logging.INFO):
        return
    for row in rows:
        told = fields(row)
        text = " ".join(f"{name}={value}" for name, value in told.items() if value not in ("", None))
        log.info("%s", text, extra={FIELDS: told})


def fields(row: UsageRow) -> dict[str, Any]:
    """What is told of a request. `cost_usd` is None where it is not known."""
    return {
        "request_id": row.request_id[:LONGEST],
        "key": row.key,
        "operation": row.operation,
        "format": row.format,
        "requested": row.requested[:LONGEST],
        "provider": row.provider,
        "connection": row.connection,
        "model": row.model[:LONGEST],
        "status": row.status,
        "error": row.error,
        "stream": row.stream,
        "ms": round(row.total_ms, 3),
        "upstream_ms": round(row.upstream_ms, 3),
        "gateway_ms": round(row.gateway_ms, 3),
        "ttft_ms": None if row.ttft_ms is None else round(row.ttft_ms, 3),
        "attempts": len(row.attempts),
        "input_tokens": row.input,
        "output_tokens": row.output,
        "cost_usd": None if row.cost is None else float(row.cost),
        "cache": row.cache,
        "revision": row.revision[:12],
    }
