"""Which refusals say that a prompt is too long."""

import pytest

from omniroute.errors import Fault
from omniroute.upstream.overflow import too_long

SAID = (
    "prompt is too long: 213462 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens.",
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Please reduce the length of the messages or completion.",
    "the request exceeds the available context size, try increasing it",
    "[lab] The number of tokens to keep from the initial prompt is greater than the context length.",
    "prompt token count of 130000 exceeds the limit of 128000",
    "invalid params, context window exceeds limit",
    "Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)",
    "Input is too long for requested model.",
)
OTHERWISE = (
    "max_tokens: 500000 > 64000, which is the maximum allowed number of output tokens",
    "Rate limit reached for tokens per minute",
    "messages: at least one message is required",
    "Invalid 'tools[0].description': string too long",
    "The context of this conversation is unknown",
)


def fault(message: str, code: str | None = None) -> Fault:
    return Fault(kind="invalid_request", status=400, message=message, code=code)


@pytest.mark.parametrize("words", SAID)
def test_what_providers_say_of_a_prompt_that_is_too_long(words: str) -> None:
    assert too_long(fault(words))


@pytest.mark.parametrize("words", OTHERWISE)
def test_other_refusals_are_none(words: str) -> None:
    assert not too_long(fault(words))


def test_a_code_needs_no_words() -> None:
    assert too_long(fault("no", "context_length_exceeded"))
