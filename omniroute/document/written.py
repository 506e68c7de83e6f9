"""How plain data is written as YAML: block maps with two spaces, short lists of words in one line, texts of several lines
as they are, and quotes only where a text would be read as something else.

`012`, `yes` and `1e3` are text to our loader and numbers or truths to others, so they get quotes as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from omniroute.document.shown import hidden, quoted
from omniroute.errors import BadRequest

WIDTH = 100
"""Columns that a list in one line may reach."""
MAX_KEY = 1000
"""Characters of a key that can be written in front of its colon; the parser looks 1,024 ahead."""
_DIGITS = 18

_special = re.compile(
    r"(?i)true|false|null|yes|no|on|off|y|n|~|[-+]?\.?(?:inf|nan)|<<|="
    r"|[-+]?(?:0[xob])?[0-9_]*\.?[0-9_]*(?:e[-+]?[0-9]+)?|[-+]?0[xob][0-9a-f_]+"
)
_indicator = re.compile(r"[,\[\]{}#&*!|>'\"%@`]|[-?:](?=\s|$)|---|\.\.\.")
_breaks_off = re.compile(r":(?=\s|$)|\s#|[\t\r\n]")
_flow_only = re.compile(r"[,\[\]{}]|^[-?:]|:[,\[\]{}]")
_escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_escaped = re.compile(r'[\\"\n\r\t]|' + hidden.pattern)


def check(value: Any, depth: int = 0) -> None:
    """Raises BadRequest for data that the files cannot hold."""
    if depth > 40:
        raise BadRequest("the value is more than 40 levels deep")
    if isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(name, str) or len(name) > MAX_KEY:
                raise BadRequest(f"a key must be text of at most {MAX_KEY} characters")
            check(name)
            check(each, depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            check(each, depth + 1)
    elif isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise BadRequest("the text holds half of a surrogate pair, which no file can hold")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _number(value)
    elif value is not None and not isinstance(value, bool):
        raise BadRequest(f"a file cannot hold a {type(value).__name__}")


def scalar(value: object, *, flow: bool = False, style: str | None = None) -> str:
    """A value in one line. `style` is the quote that stood there before: it stays where the text allows."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    text = str(value)
    if style not in ("'", '"') and is_plain(text, flow=flow):
        return text
    single = style == "'" or (style != '"' and '"' in text)
    if single and not hidden.search(text) and not re.search(r"[\r\n\t]", text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + _escaped.sub(lambda match: _escape(match[0]), text) + '"'


def is_plain(text: str, *, flow: bool = False) -> bool:
    """Whether a text can stand without quotes and is what it seems to anybody."""
    return not (
        text != text.strip()
        or _special.fullmatch(text)
        or _indicator.match(text)
        or _breaks_off.search(text)
        or hidden.search(text)
        or (flow and _flow_only.search(text))
    )


def flow(value: Any, *, style: str | None = None) -> str:
    """A value in one line, collections in brackets. `style` is the quote that all texts are to have."""
    if isinstance(value, dict):
        pairs = (f"{scalar(name, flow=True, style=style)}: {flow(each, style=style)}" for name, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(each, style=style) for each in value) + "]"
    return scalar(value, flow=True, style=style)


def value(data: Any, indent: int, *, literal: bool = True, style: str | None = None) -> tuple[str, list[str]]:
    """What stands behind `key:` or `-`, and the lines below it, which are indented by `indent`."""
    collection = isinstance(data, dict | list | tuple)
    if collection and data:
        short = _of_words(data) and len(flow(data)) + indent <= WIDTH
        return (flow(data), []) if short else ("", block(data, indent, literal=literal))
    if literal and isinstance(data, str) and _is_literal(data):
        chomp = "-" if not data.endswith("\n") else "+" if data.endswith("\n\n") else ""
        return f"|{chomp}", [" " * indent + line if line else "" for line in data.removesuffix("\n").split("\n")]
    return (flow(data) if collection else scalar(data, style=style)), []


def entry(name: str, data: Any, indent: int, *, literal: bool = True) -> list[str]:
    """The lines of a key and its value."""
    head, lines = value(data, indent + 2, literal=literal)
    return [f"{' ' * indent}{scalar(name)}:{' ' if head else ''}{head}", *lines]


def item(data: Any, indent: int, *, literal: bool = True) -> list[str]:
    """The lines of an item of a list; a map begins beside the dash."""
    head, lines = value(data, indent + 2, literal=literal)
    if not head:
        head, lines = lines[0].lstrip(" "), lines[1:]
    return [f"{' ' * indent}- {head}", *lines]


def block(data: Any, indent: int, *, literal: bool = True) -> list[str]:
    """The lines of a map or list that is not empty."""
    if isinstance(data, dict):
        return [line for name, each in data.items() for line in entry(name, each, indent, literal=literal)]
    return [line for each in data for line in item(each, indent, literal=literal)]


def fresh(data: Mapping[str, Any], remark: Callable[[tuple[str, ...]], str] | None = None) -> str:
    """A file of its own that holds this data: short maps without maps in them in brackets, an empty line between sections.
    With `remark`, each value stands in a line of its own and has behind it what is remarked on its path."""
    text = ""
    for name, each in data.items():
        lines = _remarked(name, each, 0, (name,), remark)
        between = text and (len(lines) > 1 or text.rpartition("\n\n")[2].count("\n") > 1)
        text += ("\n" if between else "") + "\n".join(lines) + "\n"
    return text


def _remarked(
    name: str, data: Any, indent: int, path: tuple[str, ...], remark: Callable[[tuple[str, ...]], str] | None
) -> list[str]:
    """The lines of an entry, as `fresh` writes it."""
    if isinstance(data, dict) and data:
        short = f"{' ' * indent}{scalar(name)}: {flow(data)}"
        if (
            remark is None
            and indent
            and len(short) <= WIDTH
            and not any(isinstance(each, dict) for each in data.values())
        ):
            return [short]
        below = (_remarked(key, each, indent + 2, (*path, key), remark) for key, each in data.items())
        return [f"{' ' * indent}{scalar(name)}:", *(line for lines in below for line in lines)]
    if isinstance(data, list) and any(isinstance(each, dict) and each for each in data):
        lines = [f"{' ' * indent}{scalar(name)}:", *(line for each in data for line in _listed(each, indent + 2))]
    else:
        lines = entry(name, data, indent)
    if remark is not None:
        lines[0] += f"  # {remark(path)}"
    return lines


def _listed(data: Any, indent: int) -> list[str]:
    """The lines of an item of a list, in brackets where that is short."""
    short = f"{' ' * indent}- {flow(data)}"
    return [short] if len(short) <= WIDTH else item(data, indent)


def _of_words(data: Any) -> bool:
    """Whether it is a list without collections in it."""
    return not isinstance(data, dict) and not any(isinstance(each, dict | list | tuple) for each in data)


def _is_literal(text: str) -> bool:
    """Whether a text of several lines reads back the same from a literal block."""
    return "\n" in text and text[0] not in " \t\n" and "\r" not in text and not hidden.search(text)


def _number(number: Any) -> str:
    if isinstance(number, float) and not math.isfinite(number):
        raise BadRequest("a number must be finite")
    text = str(number) if isinstance(number, int) else format(Decimal(repr(number)), "f")
    if isinstance(number, float) and "." not in text:
        text += ".0"
    whole, _, fraction = text.lstrip("-").partition(".")
    if len(whole) > _DIGITS or len(fraction) > _DIGITS:
        raise BadRequest(f"the number {quoted(number)} has more than {_DIGITS} digits before or after its point")
    return text


def _escape(char: str) -> str:
    if char in _escapes:
        return _escapes[char]
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
