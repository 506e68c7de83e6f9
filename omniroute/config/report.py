"""Problems as people and machines read them. Pure functions: what they show is in the problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from omniroute.errors import Problem

Form = Callable[[Sequence[Problem], bool], str]

_RED, _YELLOW, _BLUE, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"
_WIDTH = 120


def text(problems: Sequence[Problem], colour: bool = False) -> str:
    """For a terminal: each with its line and a caret, and a count at the end; nothing where there is nothing."""
    if not problems:
        return ""
    told = "\n\n".join(_told(problem, colour) for problem in problems)
    return f"{told}\n\n{_count(problems)}"


def as_json(problems: Sequence[Problem], _colour: bool = False) -> str:
    """For programs: a list of objects with always the same keys."""
    rows = [msgspec.structs.asdict(problem) for problem in problems]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()


def github(problems: Sequence[Problem], _colour: bool = False) -> str:
    """For GitHub Actions: annotations that show beside the line in a pull request."""
    return "\n".join(_annotation(problem) for problem in problems)


FORMS: Mapping[str, Form] = MappingProxyType({"text": text, "json": as_json, "github": github})


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


def _annotation(problem: Problem) -> str:
    place = f"file={_property(problem.file)}"
    if problem.line:
        place += f",line={problem.line},col={problem.col}"
    subject = f"{problem.path}: " if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"::{problem.severity} {place},title={problem.code}::{_data(f'{subject}{problem.message}{hint}')}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
