"""Telemetry: nothing is asked for that is not there."""

from __future__ import annotations

from collections.abc import Iterator

from omniroute.config.lint.subject import Rule, Subject
from omniroute.errors import Problem


def payloads(subject: Subject) -> Iterator[Problem]:
    """OR370"""
    if subject.spec.telemetry.payloads.store:
        message = "to store prompts and answers is not supported: no log, metric or trace holds any of their words"
        yield subject.error("OR370", ("telemetry", "payloads", "store"), message, "leave it `false`")


RULES: tuple[Rule, ...] = (payloads,)
