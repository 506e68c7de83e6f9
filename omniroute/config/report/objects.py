"""For programs: a JSON list of objects with always the same keys."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omniroute.errors import Problem


def form(problems: Sequence[Problem], _colour: bool = False) -> str:
    """The keys are the fields of `errors.Problem`."""
    rows = [msgspec.structs.asdict(problem) for problem in problems]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()
