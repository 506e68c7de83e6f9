"""The fields of a request that are read: see `formats/unread.py`."""

from __future__ import annotations

from omniroute.formats.ir import Raw
from omniroute.formats.unread import Inventory, Known


class _Called(Known):
    """`index` is what the server numbers calls with."""

    name: Raw = Raw()
    arguments: Raw = Raw()
    index: Raw = Raw()


class _Call(Known):
    id: Raw = Raw()
    type: Raw = Raw()
    function: _Called | None = None


class _Message(Known):
    role: Raw = Raw()
    content: Raw = Raw()
    thinking: Raw = Raw()
    images: Raw = Raw()
    tool_calls: list[_Call] | None = None
    tool_name: Raw = Raw()
    tool_call_id: Raw = Raw()


class _Function(Known):
    name: Raw = Raw()
    description: Raw = Raw()
    parameters: Raw = Raw()


class _Tool(Known):
    type: Raw = Raw()
    function: _Function | None = None


INVENTORY = Inventory(messages=list[_Message] | None, tools=list[_Tool] | None)
