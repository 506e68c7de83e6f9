"""Windows of time: days of the week and hours of the day in a place's own time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from omniroute.routing.tables import Rule, Target

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = r"([01]\d|2[0-3]):([0-5]\d)-(([01]\d|2[0-3]):([0-5]\d)|24:00)"
Hours = Annotated[
    str,
    Meta(
        pattern=f"^{HOURS}$(?!\n)",
        description="From when to when, as `09:00-17:30`; past midnight where the end is the earlier one, and then the "
        "day is that of the beginning.",
        extra_json_schema={"patternErrorMessage": "must be two times of day, such as `09:00-17:30`"},
    ),
]
Timezone = Annotated[
    str,
    Meta(min_length=1, max_length=64, description="Whose time it is, by its IANA name.", examples=["Europe/Berlin"]),
]


class Window(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A time of the week. What is absent is any: no days mean every day, no hours the whole day."""

    days: Annotated[list[Day], Meta(description="Days of the week.")] = []
    hours: Hours = "00:00-24:00"
    timezone: Timezone = "UTC"

    def contains(self) -> Callable[[float], bool]:
        """Whether a time (UNIX seconds) is in it. Raises ValueError for a place that is not known."""
        zone, days = zone_of(self.timezone), frozenset(map(DAYS.index, self.days or DAYS))
        first, last = map(minutes, self.hours.split("-"))

        def inside(time: float) -> bool:
            local = datetime.fromtimestamp(time, zone)
            minute, today = local.hour * 60 + local.minute, local.weekday()
            if first < last:
                return today in days and first <= minute < last
            return (today in days and minute >= first) or ((today - 1) % 7 in days and minute < last)

        return inside

    def __str__(self) -> str:
        return f"{', '.join(self.days) or 'every day'} {self.hours} {self.timezone}"


class Schedule(Window, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Serves in this window only, and refuses at any other time."""

    reason: Annotated[str, Meta(description="What the caller is told.")] = ""

    def compiled(self) -> Rule:
        inside, reason = self.contains(), self.reason or f"served only {self}"

        def refuse(_target: Target, time: float) -> str | None:
            return None if inside(time) else reason

        return Rule(kind="schedule", timed=True, refuse=refuse)


def zone_of(name: str) -> ZoneInfo:
    """Raises ValueError for a name that no time zone has."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a directory's name is an OSError
        raise ValueError(f"there is no time zone `{name}`") from None


def minutes(time: str) -> int:
    """`17:30` → 1050."""
    hour, _, minute = time.partition(":")
    return int(hour) * 60 + int(minute)
