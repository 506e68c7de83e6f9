"""The fields of a request that are read: see `formats/unread.py`."""

from __future__ import annotations

from omniroute.formats.ir import Raw
from omniroute.formats.unread import Inventory, Known


class _Breakpoint(Known):
    """How long it is kept is OpenAI's own to say."""

    mode: Raw = Raw()


class _Cached(Known):
    """A part that may be marked for the cache."""

    cache_control: Raw = Raw()
    prompt_cache_breakpoint: _Breakpoint | None = None


class _Text(_Cached, tag="text"):
    text: Raw = Raw()


class _Refusal(Known, tag="refusal"):
    refusal: Raw = Raw()


class _Link(Known):
    url: Raw = Raw()
    detail: Raw = Raw()


class _Image(_Cached, tag="image_url"):
    image_url: _Link | str | None = None


class _Sound(Known):
    data: Raw = Raw()
    format: Raw = Raw()


class _Audio(Known, tag="input_audio"):
    input_audio: _Sound | None = None


class _Data(Known):
    file_data: Raw = Raw()
    file_id: Raw = Raw()
    filename: Raw = Raw()


class _File(_Cached, tag="file"):
    file: _Data | None = None


class _Called(Known):
    name: Raw = Raw()
    arguments: Raw = Raw()


class _CalledFreely(Known):
    name: Raw = Raw()
    input: Raw = Raw()


class _Call(Known):
    """`index` is what a streamed call had, and some clients repeat."""

    id: Raw = Raw()
    type: Raw = Raw()
    index: Raw = Raw()
    function: _Called | None = None
    custom: _CalledFreely | None = None


class _Message(Known, tag_field="role"):
    content: str | list[_Text | _Refusal | _Image | _Audio | _File] | None = None
    refusal: Raw = Raw()
    reasoning_content: Raw = Raw()
    reasoning: Raw = Raw()
    reasoning_details: Raw = Raw()
    audio: Raw = Raw()
    tool_calls: list[_Call] | None = None
    function_call: _Called | None = None
    tool_call_id: Raw = Raw()
    cache_control: Raw = Raw()


class _System(_Message, tag="system"):
    pass


class _Developer(_Message, tag="developer"):
    pass


class _Named(_Message):
    """Whose name is told, or goes without saying: a result's is that of its call."""

    name: Raw = Raw()


class _User(_Named, tag="user"):
    pass


class _Assistant(_Named, tag="assistant"):
    pass


class _Tool(_Named, tag="tool"):
    pass


class _LegacyTool(_Named, tag="function"):
    pass


class _Defined(Known):
    name: Raw = Raw()
    description: Raw = Raw()
    parameters: Raw = Raw()
    strict: Raw = Raw()


class _Function(Known, tag="function"):
    function: _Defined | None = None
    cache_control: Raw = Raw()


class _DefinedFreely(Known):
    name: Raw = Raw()
    description: Raw = Raw()
    format: Raw = Raw()


class _Custom(Known, tag="custom"):
    custom: _DefinedFreely | None = None
    cache_control: Raw = Raw()


class _Chosen(Known):
    name: Raw = Raw()


class _Either(Known):
    type: Raw = Raw()
    function: _Chosen | None = None
    custom: _Chosen | None = None


class _Allowed(Known):
    mode: Raw = Raw()
    tools: list[_Either] | None = None


class _Choice(_Either):
    allowed_tools: _Allowed | None = None


class _Schema(Known):
    name: Raw = Raw()
    description: Raw = Raw()
    schema: Raw = Raw()
    strict: Raw = Raw()


class _Prose(Known, tag="text"):
    pass


class _AnyJSON(Known, tag="json_object"):
    pass


class _JSON(Known, tag="json_schema"):
    json_schema: _Schema | None = None


INVENTORY = Inventory(
    messages=list[_User | _Assistant | _Tool | _LegacyTool | _System | _Developer],
    tools=list[_Function | _Custom] | None,
    functions=list[_Defined] | None,
    tool_choice=_Choice | str | None,
    function_call=_Chosen | str | None,
    response_format=_JSON | _AnyJSON | _Prose | None,
)
