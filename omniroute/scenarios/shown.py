"""The results as people read them on a terminal: what failed and why, and what no scenario would miss."""

from __future__ import annotations

from collections.abc import Iterator

from omniroute.document import printable
from omniroute.scenarios.junit import told
from omniroute.scenarios.outcome import Outcome
from omniroute.scenarios.runner import Report, Result

_RED, _GREEN, _YELLOW, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
SHOWN = 2000
"""Characters of a body that are shown."""


def text(report: Report, *, colour: bool = False) -> str:
    """Failures in full, the rest as a number."""

    def ink(words: str, code: str) -> str:
        return f"{code}{words}{_PLAIN}" if colour else words

    lines = []
    for result in report.results:
        if not result.passed:
            lines.append(f"{ink(f'{result.file}:{result.line}', _BOLD)}: {ink('failed', _RED)} {result.name}")
            lines += [*_failure(result), ""]
    for rule in report.unmissed:
        place = ink(f"{rule.file}:{rule.line}", _BOLD)
        lines.append(f"{place}: {ink('untested', _YELLOW)} no scenario would miss `{rule.rule}` of {rule.policy}")
    if report.unmissed:
        lines.append("")
    passed = len(report.results) - report.failed
    counts = [ink(f"{passed} passed", _GREEN)]
    if report.failed:
        counts.append(ink(f"{report.failed} failed", _RED))
    return "\n".join((*lines, ", ".join(counts)))


def _failure(result: Result) -> Iterator[str]:
    yield from (f"  {told(one)}" for one in result.differences)
    yield from (f"    {line}" for line in _story(result.outcome))
    if any(one.what.startswith("sent.") for one in result.differences):
        yield f"    sent: {result.outcome.sent[:SHOWN]}"


def _story(outcome: Outcome) -> Iterator[str]:
    """What happened, for whoever has to find out why."""
    if outcome.route:
        yield f"led to {outcome.route}; policies: {', '.join(outcome.policies) or 'none'}"
    for one in outcome.candidates:
        yield f"{one.target} over {one.connection}: {printable(one.skipped) or 'could be tried'}"
    if outcome.tried:
        yield f"asked: {', '.join(outcome.tried)}"
    yield f"{outcome.status} {outcome.target or printable(f'{outcome.code} {outcome.message}')}".rstrip()
