"""For GitHub Actions: annotations that show beside the line in a pull request.

The form is that of workflow commands,
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
"""

from __future__ import annotations

from collections.abc import Sequence

from omniroute.config.report.place import sentence
from omniroute.errors import Problem


def form(problems: Sequence[Problem], _colour: bool = False) -> str:
    """A line for each."""
    return "\n".join(_annotation(problem) for problem in problems)


def _annotation(problem: Problem) -> str:
    place = f"file={_property(problem.file)}"
    if problem.line:
        place += f",line={problem.line},col={problem.col}"
    return f"::{problem.severity} {place},title={problem.code}::{_data(sentence(problem))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
