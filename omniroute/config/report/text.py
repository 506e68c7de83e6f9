"""For a terminal: each finding with its line and a caret, and a count at the end."""

from __future__ import annotations

from collections.abc import Sequence

from omniroute.errors import Problem

_RED, _YELLOW, _BLUE, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"
_WIDTH = 120


def form(problems: Sequence[Problem], colour: bool = False) -> str:
    """Nothing where there is nothing."""
    if not problems:
        return ""
    told = "\n\n".join(_told(problem, colour) for problem in problems)
    return f"{told}\n\n{_count(problems)}"


def _told(problem: Problem, colour: bool) -> str:
    tint = _RED if problem.severity == "error" else _YELLOW
    subject = f"{problem.path}: " if problem.path else ""
    title = _ink(f"{problem.severity} {problem.code}", tint + _BOLD, colour)
    lines = [f"{_ink(_where(problem), _BOLD, colour)}: {title} {subject}{problem.message}"]
    if problem.source:
        shown, at = _window(problem.source, problem.col)
        number = str(problem.line)
        bar = _ink("|", _BLUE, colour)
        lines += [f"  {number} {bar} {shown}", f"  {' ' * len(number)} {bar} {' ' * at}{_ink('^', tint, colour)}"]
    if problem.hint:
        lines.append(f"  = {problem.hint}")
    return "\n".join(lines)


def _where(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}:{problem.col}" if problem.line else problem.file


def _window(source: str, col: int) -> tuple[str, int]:
    """The part of a long line that has the column in it, and where in it the caret goes."""
    at = min(max(col - 1, 0), len(source))
    start = max(0, min(at - _WIDTH // 2, len(source) - _WIDTH))
    return source[start : start + _WIDTH], at - start


def _count(problems: Sequence[Problem]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    counts = ((errors, "error"), (len(problems) - errors, "warning"))
    return ", ".join(f"{number} {word}{'s' if number > 1 else ''}" for number, word in counts if number)


def _ink(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{_PLAIN}" if colour else text
