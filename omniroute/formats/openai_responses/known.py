"""The fields of a request that are read: see `formats/unread.py`."""

from __future__ import annotations

from omniroute.formats.ir import Raw
from omniroute.formats.unread import Empty, Inventory, Known, Partly


class _Breakpoint(Known):
    """How long it is kept is OpenAI's own to say."""

    mode: Raw = Raw()


class _Text(Known, tag="input_text"):
    text: Raw = Raw()
    prompt_cache_breakpoint: _Breakpoint | None = None


class _Said(Known, tag="output_text"):
    """What a model said, with its chances as they were told."""

    text: Raw = Raw()
    logprobs: Raw = Raw()
    annotations: Empty = None
    prompt_cache_breakpoint: _Breakpoint | None = None


class _Plain(Known, tag="text"):
    text: Raw = Raw()
    prompt_cache_breakpoint: _Breakpoint | None = None


class _Refusal(Known, tag="refusal"):
    refusal: Raw = Raw()


class _Image(Known, tag="input_image"):
    image_url: Raw = Raw()
    file_id: Raw = Raw()
    detail: Raw = Raw()
    prompt_cache_breakpoint: _Breakpoint | None = None


class _File(Known, tag="input_file"):
    file_data: Raw = Raw()
    file_url: Raw = Raw()
    file_id: Raw = Raw()
    filename: Raw = Raw()
    prompt_cache_breakpoint: _Breakpoint | None = None


class _Sound(Known):
    data: Raw = Raw()
    format: Raw = Raw()


class _Audio(Known, tag="input_audio"):
    input_audio: _Sound | None = None


_Parts = list[_Text | _Said | _Plain | _Refusal | _Image | _File | _Audio]


class _Item(Known):
    """What a provider calls an item, and how far it is with it."""

    id: Raw = Raw()
    status: Raw = Raw()


class _Untagged(_Item):
    """A message, which need not say that it is one."""

    role: Raw = Raw()
    content: str | _Parts | None = None


class _Message(_Untagged, tag="message"):
    pass


class _Thought(Known):
    type: Raw = Raw()
    text: Raw = Raw()


class _Reasoning(_Item, tag="reasoning"):
    summary: list[_Thought] | None = None
    content: list[_Thought] | None = None
    encrypted_content: Raw = Raw()


class _Call(_Item, tag="function_call"):
    call_id: Raw = Raw()
    name: Raw = Raw()
    namespace: Raw = Raw()
    arguments: Raw = Raw()


class _Output(_Item, tag="function_call_output"):
    call_id: Raw = Raw()
    output: str | _Parts | None = None


class _CustomCall(_Item, tag="custom_tool_call"):
    call_id: Raw = Raw()
    name: Raw = Raw()
    input: Raw = Raw()


class _CustomOutput(_Item, tag="custom_tool_call_output"):
    call_id: Raw = Raw()
    output: str | _Parts | None = None


class _Function(Partly, tag="function"):
    pass


class _Custom(Partly, tag="custom"):
    pass


class _Namespace(Known, tag="namespace"):
    name: Raw = Raw()
    description: Raw = Raw()
    tools: Raw = Raw()


class _Named(Known):
    type: Raw = Raw()
    name: Raw = Raw()


class _Choice(_Named):
    mode: Raw = Raw()
    tools: list[_Named] | None = None


class _Format(Known):
    type: Raw = Raw()
    name: Raw = Raw()
    description: Raw = Raw()
    schema: Raw = Raw()
    strict: Raw = Raw()


class _Manner(Partly):
    format: _Format | None = None


INVENTORY = Inventory(
    untagged=_Untagged,
    input=str | list[_Message | _Reasoning | _Call | _Output | _CustomCall | _CustomOutput] | None,
    tools=list[_Function | _Custom | _Namespace] | None,
    tool_choice=_Choice | str | None,
    text=_Manner | None,
)
