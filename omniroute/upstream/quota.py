"""What an answer's headers say is left of a provider's limits: a table by the headers' names.

OpenAI    https://platform.openai.com/docs/guides/rate-limits (also Azure, Groq, xAI, with seconds or `2m59.56s`)
Anthropic https://docs.anthropic.com/en/api/rate-limits (moments as RFC 3339)
Cerebras  https://inference-docs.cerebras.ai/support/rate-limits (a window in the name, seconds)
Mistral   the same names for tokens, `req` for requests, often without a reset
others    `x-ratelimit-*` (OpenRouter: milliseconds since 1970) and `ratelimit-*`
          (draft-ietf-httpapi-ratelimit-headers up to 07; from 08 on one field: `"default";r=50;t=30`)

Where the reset says when all of it is back, and it comes back bit by bit, there is something to use before: a request
after its share of the time, tokens after that of a tenth of them, for nobody knows how many the next one takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter

import msgspec

from omniroute.state.quotas import Allowance
from omniroute.upstream.scope import Scope

TOKENS_TO_BEGIN_WITH = 0.1
LONGEST = 86_400.0
"""Seconds; a limit that comes back later than in a day is looked at again after one."""
MILLISECONDS = 1e11
MOMENT = 1e9
"""From where on a number is milliseconds or seconds since 1970, and no longer a number of seconds to wait."""
UNITS = {b"ms": 1e-3, b"s": 1.0, b"m": 60.0, b"h": 3600.0, b"d": 86_400.0}
WINDOWS = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_DURATION = re.compile(rb"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d))+")
_STEP = re.compile(rb"([0-9.]+)(ms|s|m|h|d)")
_NUMBER = re.compile(rb"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_ITEM = re.compile(rb";\s*([rt])=([0-9]{1,15})")


class Limit(msgspec.Struct, frozen=True):
    """One limit that headers tell of. `window` is how long it lasts, where the name says so and no reset is told;
    `refills` says that it comes back bit by bit."""

    unit: str
    scope: Scope
    window: float | None = None
    refills: bool = False


LIMIT, REMAINING, RESET, ALL = range(4)
"""What of a limit a header tells."""


def _headers() -> dict[bytes, tuple[int, int]]:
    """By name: which of `LIMITS` a header tells of, and what of it."""
    table: dict[bytes, tuple[int, int]] = {}

    def row(pattern: str, limit: Limit) -> None:
        LIMITS.append(limit)
        for part, word in enumerate(("limit", "remaining", "reset")):
            table[pattern.format(part=word).encode()] = len(LIMITS) - 1, part

    for unit in ("requests", "tokens"):
        row(f"x-ratelimit-{{part}}-{unit}", Limit(unit, "model", refills=True))
        for name, seconds in WINDOWS.items():
            row(f"x-ratelimit-{{part}}-{unit}-{name}", Limit(f"{unit} of the {name}", "model", seconds))
    for name, seconds in WINDOWS.items():
        row(f"x-ratelimit-{{part}}-req-{name}", Limit(f"requests of the {name}", "model", seconds))
    for unit in ("requests", "tokens", "input-tokens", "output-tokens"):
        row(f"anthropic-ratelimit-{unit}-{{part}}", Limit(unit.replace("-", " "), "model", refills=True))
    for prefix in ("x-ratelimit", "ratelimit"):
        row(f"{prefix}-{{part}}", Limit("requests", "connection"))
    table[b"ratelimit"] = len(LIMITS) - 1, ALL
    return table


LIMITS: list[Limit] = []
HEADERS = _headers()
_NAMES = frozenset(HEADERS)
_first = itemgetter(0)


def told(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers that say something about limits; mostly there are none, which is the quickest answer."""
    if _NAMES.isdisjoint(map(_first, headers)):
        return []
    return [pair for pair in headers if pair[0] in HEADERS]


def allowances(told: Sequence[tuple[bytes, bytes]], moment: float, now: float) -> dict[Scope, list[Allowance]]:
    """What is left, by what it is left for. `moment` is UNIX time and `now` the clock on which the result counts. What
    cannot be read, and what is no limit (Azure tells -1), says nothing."""
    rows: dict[int, list[bytes]] = {}
    for name, value in told:
        number, part = HEADERS[name]
        row = rows.get(number)
        if row is None:
            row = rows[number] = [b"", b"", b"", b""]
        row[part] = value
    found: dict[Scope, list[Allowance]] = {}
    for number, row in rows.items():
        limit = LIMITS[number]
        allowance = _allowance(limit, _opened(row) if row[ALL] else row, moment, now)
        if allowance is not None:
            found.setdefault(limit.scope, []).append(allowance)
    return found


def _opened(row: list[bytes]) -> list[bytes]:
    """A field that tells all at once, as its parts. Of several policies in it the one with least left counts."""
    policies = [dict(_ITEM.findall(policy)) for policy in row[ALL].split(b",")]
    known = [policy for policy in policies if b"r" in policy]
    if not known:
        return row
    least = min(known, key=lambda policy: int(policy[b"r"]))
    return [row[LIMIT], least[b"r"], least.get(b"t", b"")]


def _allowance(limit: Limit, row: list[bytes], moment: float, now: float) -> Allowance | None:
    remaining = _number(row[REMAINING])
    wait = _wait(row[RESET], moment) if row[RESET] else limit.window
    if remaining is None or wait is None:
        return None
    wait = min(max(wait, 0.0), LONGEST)
    most = _number(row[LIMIT])
    share = 1.0
    if limit.refills and most:
        share = min(1.0, max(1 / most, TOKENS_TO_BEGIN_WITH if "tokens" in limit.unit else 0.0))
    return Allowance(limit.unit, remaining, most, now + wait, now + wait * share)


def _number(text: bytes) -> float | None:
    """The number that a value begins with: some list several windows behind it."""
    if text.isdigit() and len(text) < 16:
        return int(text)
    match = _NUMBER.match(text)
    return float(match[0]) if match else None


def _wait(text: bytes, moment: float) -> float | None:
    """The seconds until a reset, in any of the ways to tell it."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= MILLISECONDS:
            return number / 1000 - moment
        return number - moment if number >= MOMENT else number
    if text[-1:] in b"smhd":
        return _duration(text)
    try:
        at = datetime.fromisoformat(text.decode("latin-1"))
    except ValueError:
        return None
    return at.timestamp() - moment if at.tzinfo is not None else None


@lru_cache(maxsize=1024)  # the same few come again and again
def _duration(text: bytes) -> float | None:
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in _STEP.findall(text))
