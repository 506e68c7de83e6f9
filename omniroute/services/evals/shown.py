"""Evals as people read them on a terminal."""

from __future__ import annotations

from omniroute.document import printable
from omniroute.services.evals.evals import Seen
from omniroute.state.evals import CaseRow, RunRow

SHOWN = 300
"""Characters of an answer that are shown where it failed."""


def case(run: RunRow, one: CaseRow) -> str:
    """A case as soon as it is done."""
    line = f"{one.status:8} {run.suite}: {one.name} ({one.model or 'no answer'}, {one.ms:.0f} ms)"
    if one.status == "passed":
        return line
    said = "".join(char if char.isprintable() else " " for char in one.answer[:SHOWN])
    return f"{line}\n         {printable(one.reason)}" + (f"\n         it said: {said}" if said else "")


def summary(seen: Seen) -> str:
    """A run at its end."""
    run, change = seen.run, seen.compared
    score = "none" if run.score is None else f"{run.score:g}"
    cost = "unknown" if run.cost is None else f"{run.cost:f} USD"
    lines = [f"{run.suite}: {run.passed} of {run.total} passed, score {score}, cost {cost}, run {run.id}"]
    if change is not None:
        delta = "" if change.score_delta is None else f"score {change.score_delta:+g}"
        parts = {"worse": change.regressions, "better": change.improvements, "new": change.new, "gone": change.gone}
        told = [f"{word}: {', '.join(names)}" for word, names in parts.items() if names]
        lines.append(f"against {change.run_id}: {'; '.join([delta, *told] if delta else told) or 'nothing changed'}")
    return "\n".join(lines)
