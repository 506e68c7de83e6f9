"""Times as callers write them in queries, and as they are told."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from omniroute.errors import BadRequest

LATEST = 253_402_300_799.0
"""The end of the year 9999. What is beyond is milliseconds, which nobody means to be a date of that millennium."""
_plus_decoded = re.compile(r" (\d\d:?\d\d)$")
"""The offset of a time whose plus sign was not written as %2B."""


def moment(text: str, name: str) -> float:
    """UNIX seconds of a time in ISO 8601 (UTC where it has no offset), or in UNIX seconds. Raises BadRequest, naming the
    parameter."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = _iso(text, name)
    if not math.isfinite(seconds) or not 0 <= seconds <= LATEST:
        raise BadRequest(f"`{name}` is no time between 1970 and 9999; UNIX times are in seconds.", code="invalid_query")
    return seconds


def _iso(text: str, name: str) -> float:
    try:
        told = datetime.fromisoformat(_plus_decoded.sub(r"+\1", text) if "T" in text else text)
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadRequest(
            f"`{name}` is no time: ISO 8601 such as 2026-03-02T09:30:00Z, or UNIX seconds.", code="invalid_query"
        ) from None


def span(since: str, until: str) -> tuple[float, float]:
    """Both ends of what is asked for; where one is not said, there is none."""
    begin, end = moment(since, "from") if since else 0.0, moment(until, "to") if until else math.inf
    if end < begin:
        raise BadRequest("`to` is before `from`.", code="invalid_query")
    return begin, end


def told(seconds: float) -> datetime:
    """For an answer."""
    return datetime.fromtimestamp(seconds, UTC)
