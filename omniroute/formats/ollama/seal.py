"""Reasoning that was sealed: there is none here, for Ollama tells its own as plain text."""

from __future__ import annotations

from omniroute.errors import Fault
from omniroute.formats.codec import Fields


def seal_refused(fault: Fault) -> bool:  # noqa: ARG001 - nothing is sealed
    return False


def unsealed(fields: Fields) -> Fields | None:  # noqa: ARG001 - nothing is sealed
    return None
