"""What a request for embeddings and its answer mean, in no wire format's words."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from omniroute.errors import BadRequest, Fault, Unsupported
from omniroute.formats.ir import Loss, Opaque, Raw, Usage, Value
from omniroute.formats.openai_chat.views import MOST as MOST_TOKENS

MOST = 2048
"""Inputs of one request, as OpenAI limits them."""
LARGEST = 65_536
"""Numbers of a vector; nobody has longer ones."""
Dimensions = Annotated[int, msgspec.Meta(ge=1, le=LARGEST)]
Tokens = tuple[int, ...]
Input = str | Tokens | Opaque
"""A text, the tokens of one, or something else that only its own format can say."""
Encoding = Literal["float", "base64"]
Vector = Raw | str
"""A JSON list of numbers, or base64 over 32-bit floats, the lowest byte first. Kept as it came, for a conversion costs
more than everything else (`vectors.py`)."""


class Embed(Value, frozen=True):
    """`task` says what the vectors are for, in Gemini's words but small. `vendor` keeps the fields that only
    `vendor_format` knows."""

    inputs: tuple[Input, ...]
    dimensions: int | None = None
    encoding: Encoding = "float"
    task: str | None = None
    title: str | None = None
    truncate: bool | None = None
    user: str | None = None
    vendor_format: str = ""
    vendor: dict[str, Raw] = msgspec.field(default_factory=dict)


class Embedded(msgspec.Struct):
    """One vector for each input, in their order. `theirs` is what the upstream calls the model, as it is written there,
    and `counted` whether it told the tokens where they are looked for: both so that a long answer is read once."""

    vectors: tuple[Vector, ...]
    usage: Usage | None = None
    fault: Fault | None = None
    theirs: bytes = b""
    counted: bool = False


def counted(inputs: tuple[Input, ...], place: str) -> tuple[Input, ...]:
    """The inputs. Raises BadRequest where there are none, or too many, or one is empty."""
    if not inputs:
        raise BadRequest(f"`{place}` must not be empty.", param=place)
    if len(inputs) > MOST:
        raise BadRequest(f"`{place}` has {len(inputs)} entries; {MOST} are taken at once.", param=place)
    for number, one in enumerate(inputs):
        if not isinstance(one, Opaque) and not one:
            spot = place if len(inputs) == 1 else f"{place}[{number}]"
            raise BadRequest(f"`{spot}` must not be empty.", param=spot)
    return inputs


def texts(asked: Embed, name: str) -> list[str]:
    """The inputs, for a format that takes text only."""
    for number, one in enumerate(asked.inputs):
        if not isinstance(one, str):
            what = "tokens" if isinstance(one, tuple) else "more than text"
            raise Unsupported(f"Input {number} is {what}, and {name} embeds text only.", param="input")
    return [one for one in asked.inputs if isinstance(one, str)]


TASKS = {"openai": "input_type", "gemini": "taskType"}
"""Where a task stands in a request."""


def untold(asked: Embed, name: str, *carried: str) -> list[Loss]:
    """What of a request a format cannot carry that carries only these of the optional fields."""
    told = [field for field in ("task", "title", "truncate", "user") if field not in carried]
    codes = [field for field in told if getattr(asked, field) is not None]
    tasks = {"task": TASKS.get(asked.vendor_format, "task")}
    return [Loss(code, tasks.get(code, code), f"dropped: {name} has no such field") for code in (*codes, *asked.vendor)]


def spent(tokens: int | None) -> Usage | None:
    """What was counted; a count of nothing is none, for every input has tokens."""
    return Usage(input=min(tokens, MOST_TOKENS)) if tokens is not None and tokens > 0 else None
