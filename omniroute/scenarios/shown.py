"""The results and explanations as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from omniroute.config.origin import Origin
from omniroute.document import printable
from omniroute.routing.explain import Explanation, Step
from omniroute.routing.policies import PolicyTold
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


def explanation(told: Explanation, outcome: Outcome) -> str:
    """Where a request would go: the policies with their places, the candidates in order, and what would become of it."""
    lines = [f"{told.model} → {told.route} ({told.strategy}), revision {told.revision[:12]}"]
    lines += [line for policy in told.policies for line in _policy(policy)]
    lines += [f"     limit {one.limit}: {one.remaining} of {one.amount} {one.measure} left" for one in told.limits]
    lines += [f"     budget {one.name}: {one.remaining} of {one.limit} USD left ({one.period})" for one in told.budgets]
    lines += [f"{number:3}. {_step(step, told)}" for number, step in enumerate(told.steps, 1)]
    if not outcome.answered:
        lines.append(f"     refused: {outcome.status} {printable(f'{outcome.code} {outcome.message}')}")
    return "\n".join(lines)


def _policy(told: PolicyTold) -> Iterator[str]:
    applies = "applies" if told.matched else f"does not apply: {told.reason}"
    shadow = " (in the shadow)" if told.mode == "shadow" else ""
    yield f"     policy {told.name}{shadow} {applies} ({told.place})"
    for rule in told.rules:
        to = f" [{', '.join(rule.targets)}]" if rule.targets else ""
        yield f"         {rule.kind}: {rule.does or 'does nothing'}{to}"


def _step(step: Step, told: Explanation) -> str:
    way = f"{step.format}, translated" if step.translated else step.format
    loss = f", without {', '.join(step.losses)}" if step.losses else ""
    price = step.usd_per_million
    cost = f", {price.input}/{price.output} USD per million" if price is not None else ""
    place = next((one.place for one in told.policies if step.reason.startswith(f"policy {one.name}:")), "")
    verdict = "would be tried" if step.accepted else f"skipped: {step.reason}"
    return f"{step.target} over {step.connection} ({way}{loss}{cost}): {verdict}{f' ({place})' if place else ''}"


def origin(found: Origin) -> str:
    """Whose a value is."""
    shown = msgspec.json.encode(found.value).decode()
    return f"{found.path}: {shown}\n  {found.source}{f' {found.where}' if found.where else ''}"
