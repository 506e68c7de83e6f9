"""The files of other people's tools, edited where they stand: comments, order and everything else stay as they are.

Each format is read by a library that knows where things are; an edit changes the text around one value.  What comes out
is read again and compared with what was meant: a file that cannot be edited so is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import tomlkit
import tomlkit.exceptions

from omniroute.document import Delete, Document, Set, apply
from omniroute.errors import ConfigError, Conflict, EditRefused
from omniroute.services.clients.tools import Format, Item, Path, Setting

if TYPE_CHECKING:
    from json5.model import JSONArray, JSONObject

ABSENT = object()
"""Stands for a value that is not there, or is to be taken away."""
Places = tuple[str | int, ...]


class Unreadable(Conflict):
    """A settings file that is not what its tool writes, or that cannot be edited without a loss."""

    code = "settings_unreadable"


def read(form: Format, text: str, place: str) -> dict[str, Any]:
    """What a file says. Raises Unreadable."""
    try:
        data = _FORMATS[form].read(text)
    except (ValueError, RecursionError, ConfigError, tomlkit.exceptions.ParseError) as error:
        raise Unreadable(f"{place} cannot be read: {_first_line(error)}. Mend it, or move it away.") from None
    if not isinstance(data, dict):
        raise Unreadable(f"{place} is no map of settings. Move it away.")
    return data


def edited(form: Format, text: str, settings: Sequence[Setting], place: str) -> str:
    """The file with these settings in it; a value that is `ABSENT` is taken away. Raises Unreadable where it cannot be
    done without touching anything else."""
    windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    if windows:
        text = text.replace("\r\n", "\n")
    for setting in settings:
        text = _one(form, text, setting, place)
    return text.replace("\n", "\r\n") if windows else text


def value_at(data: Any, path: Path) -> Any:
    """The value at a path, or `ABSENT`."""
    for step in path:
        data = _below(data, step)
    return data


def _below(data: Any, step: str | Item) -> Any:
    if isinstance(step, Item):
        items = data if isinstance(data, list) else []
        return next((one for one in items if isinstance(one, dict) and one.get(step.field) == step.value), ABSENT)
    return data.get(step, ABSENT) if isinstance(data, Mapping) else ABSENT


def _one(form: Format, text: str, setting: Setting, place: str) -> str:
    data = read(form, text, place)
    there = value_at(data, setting.path)
    if there == setting.value or (setting.first and there is not ABSENT) or (setting.value is there is ABSENT):
        return text
    places = _places(data, setting.path, place)
    meant = deepcopy(data)
    _put(meant, places, setting.value)
    try:
        changed = _FORMATS[form].edit(text, data, places, setting.value)
    except EditRefused as error:
        raise Unreadable(f"{place} cannot be edited: {error}. Write the setting by hand.") from None
    if read(form, changed, place) not in (meant, _pruned(meant, places[:-1])):
        told = ".".join(map(str, places))
        raise Unreadable(f"{place} is written in a way in which `{told}` cannot be set without a loss. Do it by hand.")
    return changed


def _places(data: Any, path: Path, place: str) -> Places:
    """The path in keys and indices; raises where something on the way is no map or list."""
    places: list[str | int] = []
    for step in path:
        wanted = list if isinstance(step, Item) else dict
        if data is not ABSENT and not isinstance(data, wanted):
            told = ".".join(map(str, places))
            raise Unreadable(f"{place}: `{told}` is not what this tool's settings have there. Set it by hand.")
        found = _below(data, step)
        places.append(_index(data, found) if isinstance(step, Item) else step)
        data = found
    return tuple(places)


def _index(items: Any, found: Any) -> int:
    """Where an item stands in its list, or would."""
    there = [] if items is ABSENT else items
    return next((index for index, one in enumerate(there) if one is found), len(there))


def _put(data: Any, places: Places, value: Any) -> None:
    """Sets or takes away in plain data, making what is missing on the way."""
    for step, following in pairwise(places):
        if isinstance(step, int):
            if step == len(data):
                data.append([] if isinstance(following, int) else {})
            data = data[step]
        else:
            data = data.setdefault(step, [] if isinstance(following, int) else {})
    last: Any = places[-1]
    if value is ABSENT:
        del data[last]
    elif isinstance(last, int) and last == len(data):
        data.append(value)
    else:
        data[last] = value


def _pruned(data: Any, places: Places) -> Any:
    """The data without maps at the end of these steps that hold nothing: TOML has no word for an implicit one."""
    pruned = deepcopy(data)
    for depth in range(len(places), 0, -1):
        inner = pruned
        for step in places[: depth - 1]:
            inner = inner[step]
        if inner[places[depth - 1]] == {}:
            del inner[places[depth - 1]]
    return pruned


def _nested(places: Sequence[str | int], value: Any) -> Any:
    """The value inside the maps and lists that lead to it."""
    for step in reversed(places):
        value = [value] if isinstance(step, int) else {step: value}
    return value


def _split(data: Any, places: Places) -> int:
    """How many of the steps lead to something that is there."""
    for depth, step in enumerate(places):
        there = step in data if isinstance(data, dict) else isinstance(step, int) and step < len(data)
        if not there:
            return depth
        data = data[step]
    return len(places)


def _first_line(error: Exception) -> str:
    if isinstance(error, ConfigError):
        problem = error.problems[0]
        return f"line {problem.line}: {problem.message}"
    return (str(error) or type(error).__name__).splitlines()[0]


# ---------------------------------------------------------------------------------------------------- JSON and JSON5


def _json_read(text: str) -> Any:
    import json5  # noqa: PLC0415 - 3 MB, for those who have such tools

    return json5.loads(text) if text.strip() else {}


def _json_edit(text: str, data: Any, places: Places, value: Any) -> str:
    if not text.strip():
        return f"{_json(_nested(places, value), '')}\n"
    import json5.loader  # noqa: PLC0415 - as above

    node: Any = json5.loader.loads(text, loader=json5.loader.ModelLoader()).value
    depth = _split(data, places)
    if value is ABSENT:
        for step in places[:-1]:
            node = _child(node, step)
        return _json_without(text, node, places[-1])
    for step in places[:depth]:
        node = _child(node, step)
    if depth == len(places):
        start, end = _span(node)
        return text[:start] + _json(value, _indent(text, start)) + text[end:]
    return _json_with(text, node, places[depth], _nested(places[depth + 1 :], value))


def _child(node: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return node.values[step]
    return next(value for key, value in zip(node.keys, node.values, strict=True) if _name(key) == step)


def _name(key: Any) -> str:
    return str(getattr(key, "characters", None) or getattr(key, "name", ""))


def _span(node: Any) -> tuple[int, int]:
    return node._tok.index, node._end_tok.end  # noqa: SLF001 - the library has no public name for where a node stands


def _indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _json_with(text: str, node: JSONObject | JSONArray, step: str | int, value: Any) -> str:
    """The text with one more entry at the end of a map or list, in the way in which those before it stand."""
    start, end = _span(node)
    key = "" if isinstance(step, int) else f"{_json(step, '')}: "
    if not node.values:
        outer = _indent(text, start)
        inner = f"{outer}  "
        return f"{text[: start + 1]}\n{inner}{key}{_json(value, inner)}\n{outer}{text[end - 1 :]}"
    first = node.keys[0] if hasattr(node, "keys") else node.values[0]
    lead = text[start + 1 : _span(first)[0]]
    own_line = "\n" in lead
    indent = _indent(text, _span(first)[0]) if own_line else _indent(text, start)
    before = f"\n{indent}" if own_line else " "
    at = _span(node.values[-1])[1]
    comma = text[at : end - 1].lstrip().startswith(",")
    if comma:
        at = text.index(",", at) + 1
    return f"{text[:at]}{'' if comma else ','}{before}{key}{_json(value, indent)}{',' if comma else ''}{text[at:]}"


def _json_without(text: str, node: JSONObject | JSONArray, step: str | int) -> str:
    """The text without one entry: with the comma before it, or, of the first, with the one after it."""
    index = step if isinstance(step, int) else [_name(key) for key in node.keys].index(step)  # type: ignore[union-attr]
    heads = node.keys if hasattr(node, "keys") else node.values
    start, end = _span(heads[index])[0], _span(node.values[index])[1]
    if index > 0:
        return text[: _span(node.values[index - 1])[1]] + text[end:]
    if len(node.values) > 1:
        return text[:start] + text[_span(heads[1])[0] :]
    outer = _span(node)
    return text[: outer[0] + 1] + text[outer[1] - 1 :]


def _json(value: Any, indent: str) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return text.replace("\n", f"\n{indent}")


# --------------------------------------------------------------------------------------------------------------- TOML


def _toml_read(text: str) -> Any:
    return tomlkit.parse(text).unwrap()


def _toml_edit(text: str, _data: Any, places: Places, value: Any) -> str:
    document = tomlkit.parse(text)
    table: Any = document
    for step in places[:-1]:
        if step not in table:
            table[step] = tomlkit.table(is_super_table=True)
        table = table[step]
    if value is ABSENT:
        del table[places[-1]]
    else:
        table[places[-1]] = value
    return tomlkit.dumps(document)


# ----------------------------------------------------------------------------------------------------------------- env

_assignment = re.compile(r"^(\s*(?:export\s+)?)([A-Za-z_][A-Za-z0-9_]*)(\s*=\s*)(.*?)([ \t]*)$", re.MULTILINE)
_bare = re.compile(r"[\w./:@%+,\-]*")


def _env_read(text: str) -> dict[str, str]:
    """The variables; of one that stands there twice, the last counts."""
    return {found[2]: _unquoted(found[4]) for found in _assignment.finditer(text)}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return re.split(r"\s#", value, maxsplit=1)[0].rstrip()


def _env_edit(text: str, data: Any, places: Places, value: Any) -> str:
    name = str(places[0])
    if value is ABSENT:
        kept = [
            line
            for line in text.splitlines(keepends=True)
            if not ((found := _assignment.match(line.rstrip("\r\n"))) and found[2] == name)
        ]
        return "".join(kept)
    written = value if _bare.fullmatch(value) else f'"{value}"'
    if name not in data:
        gap = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{gap}{name}={written}\n"
    last = [found for found in _assignment.finditer(text) if found[2] == name][-1]
    return text[: last.start(4)] + written + text[last.end(4) :]


# ---------------------------------------------------------------------------------------------------------------- YAML


def _yaml_read(text: str) -> Any:
    return Document.parse(text, "settings").data


def _yaml_edit(text: str, _data: Any, places: Places, value: Any) -> str:
    edit = Delete(places) if value is ABSENT else Set(places, value)
    return apply(Document.parse(text, "settings"), [edit]).text


class _Form(msgspec.Struct, frozen=True):
    read: Callable[[str], Any]
    edit: Callable[[str, Any, Places, Any], str]


_FORMATS: dict[Format, _Form] = {
    "json": _Form(_json_read, _json_edit),
    "toml": _Form(_toml_read, _toml_edit),
    "env": _Form(_env_read, _env_edit),
    "yaml": _Form(_yaml_read, _yaml_edit),
}
