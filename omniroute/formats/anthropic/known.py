"""The fields of a request that are read: see `formats/unread.py`."""

from __future__ import annotations

from omniroute.formats.ir import Raw
from omniroute.formats.unread import Inventory, Known, Partly


class _Cache(Known):
    type: Raw = Raw()
    ttl: Raw = Raw()


class _Text(Known, tag="text"):
    text: Raw = Raw()
    cache_control: _Cache | None = None


class _Base64(Known, tag="base64"):
    media_type: Raw = Raw()
    data: Raw = Raw()


class _Url(Known, tag="url"):
    url: Raw = Raw()


class _File(Known, tag="file"):
    file_id: Raw = Raw()


class _Plain(Known, tag="text"):
    media_type: Raw = Raw()
    data: Raw = Raw()


class _Image(Known, tag="image"):
    source: _Base64 | _Url | _File | None = None
    cache_control: _Cache | None = None


class _Piece(Known, tag="text"):
    """Of a document, which is marked as a whole."""

    text: Raw = Raw()


class _Content(Known, tag="content"):
    content: str | list[_Piece] | None = None


class _Cited(Known):
    enabled: Raw = Raw()


class _Document(Known, tag="document"):
    source: _Base64 | _Url | _File | _Plain | _Content | None = None
    title: Raw = Raw()
    context: Raw = Raw()
    citations: _Cited | None = None
    cache_control: _Cache | None = None


class _Thinking(Known, tag="thinking"):
    thinking: Raw = Raw()
    signature: Raw = Raw()


class _Redacted(Known, tag="redacted_thinking"):
    data: Raw = Raw()


class _Call(Known, tag="tool_use"):
    id: Raw = Raw()
    name: Raw = Raw()
    input: Raw = Raw()
    cache_control: _Cache | None = None


class _Result(Known, tag="tool_result"):
    tool_use_id: Raw = Raw()
    content: str | list[_Text | _Image | _Document] | None = None
    is_error: Raw = Raw()
    cache_control: _Cache | None = None


class _Message(Known):
    role: Raw = Raw()
    content: str | list[_Text | _Image | _Document | _Thinking | _Redacted | _Call | _Result] | None = None


class _Choice(Known):
    type: Raw = Raw()
    name: Raw = Raw()
    disable_parallel_tool_use: Raw = Raw()


class _Thinks(Known):
    type: Raw = Raw()
    budget_tokens: Raw = Raw()
    display: Raw = Raw()


class _Format(Known):
    type: Raw = Raw()
    schema: Raw = Raw()


class _Output(Partly):
    format: _Format | None = None


class _Tool(Partly):
    cache_control: _Cache | None = None


INVENTORY = Inventory(
    messages=list[_Message],
    system=str | list[_Text] | None,
    tools=list[_Tool] | None,
    tool_choice=_Choice | None,
    thinking=_Thinks | None,
    output_config=_Output | None,
)
