"""A conversation that begins at one provider and goes on at another: sealed thinking goes back to who sealed it, to
nobody else, and what is left out on the way is told. The history is what each official SDK keeps and sends again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.history import GOING_ON, tools_of
from support.providers import VOICES, Call, Says, provider_of, saying
from support.rig import FORMATS, NODE, PAIRS, Rig
from support.sdks import SDKS
from support.upstream import Asked, Script, whole

SIGNATURE = "EqQBCkYIBhgC+w=="
THOUGHT = "I need the weather first."
CALL = Call("call_1", "weather", '{"city": "Bern"}')
FIRST = Says(thinking=THOUGHT, signature=SIGNATURE, calls=(CALL,))
NODES = {
    "responses": "type: openai-compatible, formats: [openai_responses], base_url: {url}/second/v1",
    "anthropic": "type: anthropic-compatible, base_url: {url}/second/v1",
    "gemini": "type: gemini-compatible, base_url: {url}/second/v1beta",
}
SEALING = tuple(NODES)
"""The formats whose providers seal what they think, and check what comes back."""
SECOND = "".join(
    f"\n  {NODE[form]}2: {{{node}, connections: {{main: {{}}}}, models: {{chat: {{}}}}}}"
    for form, node in NODES.items()
)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = tools_of(PARAMETERS)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    aliases = "".join(f', "{NODE[form]}2-*": {NODE[form]}2/chat' for form in SEALING)
    with Rig(providers=SECOND, aliases=aliases) as rig:
        yield rig


def begun(rig: Rig, client: str, upstream: str) -> dict[str, Any]:
    """What a client would ask next, after an answer of this upstream that it heard."""
    rig.script(FIRST)
    told = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}} if client == "gemini" else {}
    heard = rig.ask(client, upstream, tools=TOOLS[client], **told)
    assert heard.thinking == THOUGHT
    return GOING_ON[client](heard, "Hello", "Sunny") | {"tools": TOOLS[client]}


STAND_IN = "skip_thought_signature_validator"
"""What Google documents for calls that its model did not make: https://ai.google.dev/gemini-api/docs/thought-signatures"""


def seals(form: str, body: Any) -> list[str]:
    """All that a request shows its provider as sealed by it."""
    match form:
        case "responses":
            return [item["encrypted_content"] for item in body["input"] if item.get("type") == "reasoning"]
        case "anthropic":
            blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
            return [block.get("signature") or block["data"] for block in blocks if "thinking" in block["type"]]
        case "gemini":
            parts = [part for content in body["contents"] for part in content["parts"]]
            found = [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
            # Google's SDK decodes it and encodes it again, in the alphabet for URLs.
            return [one if one == STAND_IN else one.translate(str.maketrans("-_", "+/")) for one in found]
    return []


def unsealed(form: str) -> list[str]:
    """What a provider sees that is to see no seal."""
    return [STAND_IN] if form == "gemini" else []


def issuer(client: str, first: str) -> str:
    """Whose the thinking is, as far as a client can tell when it sends it back: OpenAI's chat and Ollama's have no place
    for a seal, and Google's only for what somebody sealed."""
    known = {"openai": "openai", "ollama": "ollama", "gemini": first if first in SEALING else "gemini"}
    return known.get(client, first)


def strict(form: str, sealed: list[str]) -> Callable[[Asked], Script]:
    """A provider that refuses all seals but these, as the real ones do."""

    def script(asked: Asked) -> Script:
        assert provider_of(asked) == form
        found = seals(form, asked.json)
        raw = asked.body
        if b"omniroute." in raw or b"b21uaXJvdXRl" in raw or found not in (sealed, unsealed(form)):
            return whole(
                VOICES[form].refusal(400, "invalid_request_error", *REFUSAL[form][:1], **REFUSAL[form][1]), 400
            )
        return saying(Says(text="It is sunny."))(asked)

    return script


REFUSAL: dict[str, tuple[str, dict[str, str]]] = {
    "openai": ("What is this?", {}),
    "responses": (
        "The encrypted content EqQB... could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
        {"code": "invalid_encrypted_content"},
    ),
    "anthropic": ("messages.1.content.0: Invalid `signature` in `thinking` block", {}),
    "gemini": ("Thought signature is not valid", {}),
    "ollama": ("What is this?", {}),
}
"""How each provider refuses what it has not sealed."""


@pytest.mark.parametrize("client", FORMATS)
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_conversation_goes_on_at_any_provider_and_returns_with_its_seals(
    rig: Rig, client: str, first: str, second: str
):
    request = begun(rig, client, first)
    own = [SIGNATURE] if first in SEALING and issuer(client, first) == first else []
    rig.script(strict(second, own if first == second else []))
    heard = rig.ask(client, second, **request)
    assert heard.text == "It is sunny."
    if first != second:
        assert seals(second, rig.asked.json) == unsealed(second)
        assert SIGNATURE.encode() not in rig.asked.body
    lost = "thinking" in heard.headers.get("x-omniroute-losses", "").split(", ")
    assert lost is (second != issuer(client, first))

    rig.script(strict(first, own))
    heard = rig.ask(client, first, **request)
    assert heard.text == "It is sunny."
    assert seals(first, rig.asked.json) == (own or unsealed(first))
    if own and first == "responses":
        assert [item["id"] for item in rig.asked.json["input"] if item.get("type") == "reasoning"] == ["rs_1"]


@pytest.mark.parametrize(("form", "way"), [(form, way) for form in SEALING for way in SDKS[form].ways])
def test_a_provider_that_refuses_anothers_seal_is_asked_once_more_without_it(rig: Rig, form: str, way: str):
    request = begun(rig, form, form)
    rig.script(strict(form, []))
    model = f"{NODE[form]}2-{way}"
    heard = rig.ask(form, form, way, model=model, **request)
    assert heard.text == "It is sunny."
    first, second = rig.upstream.asked
    assert first.path.startswith("/second/")
    assert seals(form, first.json) == [SIGNATURE]
    assert seals(form, second.json) == unsealed(form)
    assert json.dumps(second.json).count("Sunny") == 1
    if heard.headers:  # one helper does not show them
        assert heard.headers["x-omniroute-losses"] == "thinking"
    rig.books(model, status=200, error="", losses=["thinking"], outcomes=["invalid", "success"])


@pytest.fixture(scope="module")
def exact() -> Iterator[Rig]:
    with Rig(server=", strict_translation: true") as rig:
        yield rig


@pytest.mark.parametrize("form", SEALING)
def test_strictness_asks_nobody_once_more_for_less(rig: Rig, exact: Rig, form: str):
    request = begun(rig, form, form)
    exact.script(strict(form, []))
    with pytest.raises(SDKS[form].error):
        exact.ask(form, form, **request)
    assert len(exact.upstream.asked) == 1
