"""Arguments of a call that come in pieces: each says where in the object it belongs, and may continue the one before.

Vertex AI streams calls so where it is asked to (`streamFunctionCallArguments`). Places are JSON paths of plain steps,
`$.flights[0].to`; a piece with any other is left out.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import msgspec

from omniroute.formats.gemini import views

_step = re.compile(r"\.([^.\[\]]+)|\[(\d{1,4})\]|\['((?:[^'\\]|\\.)*)'\]")
_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Pieces:
    """The arguments so far. A place among the items of a list is at most one beyond those that are there."""

    def __init__(self) -> None:
        self._whole: dict[str, Any] = {}

    def add(self, piece: views.Piece) -> None:
        steps = _steps(piece.json_path)
        if not steps:
            return
        holder: Any = self._whole
        for step, following in pairwise(steps):
            holder = _enter(holder, step, following)
            if holder is None:
                return
        value = _value(piece)
        before = _get(holder, steps[-1])
        if isinstance(value, str) and isinstance(before, str):
            value = before + value
        _put(holder, steps[-1], value)

    def arguments(self) -> str:
        return _encode(self._whole).decode()


def _steps(path: str) -> list[str | int]:
    if not path.startswith("$"):
        return []
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        found = _step.match(path, at)
        if found is None:
            return []
        steps.append(int(found[2]) if found[2] is not None else found[1] or found[3])
        at = found.end()
    return steps


def _value(piece: views.Piece) -> Any:
    if piece.string_value is not None:
        return piece.string_value
    if piece.bool_value is not None:
        return piece.bool_value
    number = bytes(piece.number_value)
    return _any(number) if number else None


def _get(holder: Any, step: str | int) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    return holder[step] if isinstance(holder, list) and isinstance(step, int) and step < len(holder) else None


def _put(holder: Any, step: str | int, value: Any) -> None:
    if isinstance(holder, dict) and isinstance(step, str):
        holder[step] = value
    elif isinstance(holder, list) and isinstance(step, int):
        if step < len(holder):
            holder[step] = value
        elif step == len(holder):
            holder.append(value)


def _enter(holder: Any, step: str | int, following: str | int) -> Any:
    """What is held at a step, made where it is not there yet; None where it is no holder."""
    inner = _get(holder, step)
    if inner is None:
        _put(holder, step, [] if isinstance(following, int) else {})
        inner = _get(holder, step)
    return inner if isinstance(inner, dict | list) else None
