"""Lines of the log: for people, or a JSON object each for programs.

One event, one line: what strangers may have put into it (a name, a provider's words) can neither begin another line nor
tell a terminal anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from omniroute.telemetry.journal import FIELDS

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LONGEST = 8192
"""Characters of one text in a line of JSON."""
_encode = msgspec.json.Encoder().encode


class Lines(logging.Formatter):
    """For people. A traceback follows on lines that are set in."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        return "\n".join(f"    {escaped(line)}" for line in super().formatException(ei).split("\n"))


class JsonLines(logging.Formatter):
    """For programs: `time` (RFC 3339, UTC), `level`, `logger`, `message`, the `exception` where there is one, and the
    fields of the event, which replace its message."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told: dict[str, Any] = {"time": time, "level": record.levelname, "logger": record.name}
        fields = getattr(record, FIELDS, None)
        if fields is None:
            told["message"] = _clean(record.getMessage())
        else:
            told["message"] = "request"
            told |= {name: _clean(value) if isinstance(value, str) else value for name, value in fields.items()}
        if record.exc_info:
            told["exception"] = _clean(super().formatException(record.exc_info))
        return _encode(told).decode()


class Chosen(logging.Formatter):
    """Whichever the configuration wants at the moment."""

    def __init__(self, wants_json: Callable[[], bool]) -> None:
        super().__init__()
        self._wants_json = wants_json
        self._text, self._json = Lines(LOG_FORMAT), JsonLines()

    def format(self, record: logging.LogRecord) -> str:
        return (self._json if self._wants_json() else self._text).format(record)


def _clean(text: str) -> str:
    """Bounded, and without what a terminal would obey; breaks of lines stay, which JSON writes out."""
    kept = text[:LONGEST]
    if kept.isprintable():
        return kept
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in kept)


def escaped(text: str) -> str:
    r"""The text with what is not printable written out: a line break as `\n`, an escape as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
