"""Functions that a client groups in a namespace, as Codex does with those of an MCP server.

For all other formats the namespace is part of a function's name; a call of such a name is told to the client with both
parts again.
"""

from __future__ import annotations

import msgspec

from omniroute.formats.ir import Raw

KIND = "namespace"
BETWEEN = "__"

Spaces = dict[str, tuple[str, str]]
"""The namespace and the name that a whole name is made of."""


class _Named(msgspec.Struct):
    type: str | None = None
    name: str | None = None


class _Group(_Named):
    tools: list[_Named] | None = None


_groups = msgspec.json.Decoder(list[_Group] | None)


def joined(space: str | None, name: str) -> str:
    return f"{space}{BETWEEN}{name}" if space else name


def spaces(tools: Raw | None) -> Spaces:
    """The namespaces among the tools of a request."""
    if tools is None or b'"namespace"' not in bytes(tools):
        return {}
    try:
        groups = _groups.decode(tools) or ()
    except (msgspec.DecodeError, RecursionError):  # nothing was decided about them yet
        return {}
    return {
        joined(group.name, tool.name): (group.name, tool.name)
        for group in groups
        if group.type == KIND and group.name
        for tool in group.tools or ()
        if tool.type == "function" and tool.name
    }
