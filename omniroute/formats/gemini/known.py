"""The fields of a request that are read: see `formats/unread.py`."""

from __future__ import annotations

from omniroute.formats.gemini.spelling import camel
from omniroute.formats.ir import Raw
from omniroute.formats.unread import Inventory, Known, Partly


class _Blob(Known, rename="camel"):
    mime_type: Raw = Raw()
    data: Raw = Raw()
    display_name: Raw = Raw()


class _File(Known, rename="camel"):
    mime_type: Raw = Raw()
    file_uri: Raw = Raw()
    display_name: Raw = Raw()


class _Call(Known):
    id: Raw = Raw()
    name: Raw = Raw()
    args: Raw = Raw()


class _Resolution(Known):
    level: Raw = Raw()


class _Given(Known, rename="camel"):
    """A part of a result."""

    inline_data: _Blob | None = None
    file_data: _File | None = None
    media_resolution: _Resolution | None = None


class _Response(Known):
    id: Raw = Raw()
    name: Raw = Raw()
    response: Raw = Raw()
    parts: list[_Given] | None = None


class _Part(_Given, rename="camel"):
    """Also under the names of what is carried whole."""

    text: Raw = Raw()
    thought: Raw = Raw()
    thought_signature: Raw = Raw()
    function_call: _Call | None = None
    function_response: _Response | None = None
    executable_code: Raw = Raw()
    code_execution_result: Raw = Raw()
    tool_call: Raw = Raw()
    tool_response: Raw = Raw()


class _Content(Known):
    role: Raw = Raw()
    parts: list[_Part] | None = None


class _Instruction(Known):
    text: Raw = Raw()


class _System(Known):
    role: Raw = Raw()
    parts: list[_Instruction] | None = None


class _Function(Known, rename="camel"):
    name: Raw = Raw()
    description: Raw = Raw()
    parameters: Raw = Raw()
    parameters_json_schema: Raw = Raw()
    response: Raw = Raw()
    response_json_schema: Raw = Raw()


class _Tool(Partly, rename="camel"):
    function_declarations: list[_Function] | None = None


class _Calling(Known, rename="camel"):
    mode: Raw = Raw()
    allowed_function_names: Raw = Raw()


class _ToolConfig(Partly, rename="camel"):
    function_calling_config: _Calling | None = None


class _Thinking(Known, rename="camel"):
    thinking_budget: Raw = Raw()
    thinking_level: Raw = Raw()
    include_thoughts: Raw = Raw()


class _Config(Partly, rename="camel"):
    thinking_config: _Thinking | None = None


INVENTORY = Inventory(
    camel,
    contents=str | _Content | list[_Content],
    systemInstruction=str | _System | None,
    tools=_Tool | list[_Tool] | None,
    toolConfig=_ToolConfig | None,
    generationConfig=_Config | None,
)
