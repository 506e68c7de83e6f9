"""The end of a model's name that asks for a variant of it: `[1m]`, the long context."""

from __future__ import annotations

import pytest
from support.providers import Says
from support.rig import Rig, digest

BETA = "context-1m-2025-08-07"
NARROW = "sk-omniroute-for-one-name"
PARTS = {
    "keys": f', narrow: {{digest: "sha256:{digest(NARROW)}", allow: ["anth-narrow"]}}',
}
MORE = """
policies: {dry: {match: {models: ["anth-dry"]}, rules: [{max_tokens: {output: 5}}]}}
"""


@pytest.fixture(scope="module")
def rig():
    with Rig(MORE, **PARTS) as one:
        one.script(Says(text="Fine."))
        yield one


@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_it_is_the_same_model_and_a_beta_to_an_upstream_that_has_it(rig: Rig, client: str):
    rig.script(Says(text="Fine."))
    name = f"anth-long-{client}[1m]"
    heard = rig.ask(client, "anthropic", model=name)
    assert rig.asked.json["model"] == "claude-sonnet-4-5"
    assert rig.asked.headers["anthropic-beta"] == BETA
    assert heard.models == {name}
    rig.books(name, provider="anth")


def test_it_is_only_the_model_where_there_is_no_word_for_it(rig: Rig):
    rig.script(Says(text="Fine."))
    rig.ask("anthropic", "openai", model="open/chat[1m]")
    assert rig.asked.json["model"] == "vendor-chat"
    assert not [name for name in rig.asked.headers if "beta" in name]


@pytest.mark.parametrize("name", ["anth/chat[1m][1m]", "anth-long[1m][1m]", "[1m][1m]"])
def test_a_variant_of_a_variant_is_no_model(rig: Rig, name: str):
    rig.upstream.asked.clear()
    sdk = rig.sdks["anthropic"]
    with pytest.raises(sdk.errors.NotFoundError) as raised:
        sdk.ask("whole", name)
    assert f"`{name.removesuffix('[1m]')}`" in str(raised.value)
    assert rig.upstream.asked == []


@pytest.mark.parametrize("sent", [BETA, f"claude-code-20250219,{BETA}"])
def test_a_beta_that_the_client_sends_too_is_sent_once(rig: Rig, sent: str):
    rig.script(Says(text="Fine."))
    rig.ask("anthropic", "anthropic", model="anth/chat[1m]", extra_headers={"anthropic-beta": sent})
    assert rig.asked.headers["anthropic-beta"] == sent


def test_what_holds_for_a_name_holds_for_its_variant(rig: Rig):
    rig.script(Says(text="Fine."))
    sdk = rig.sdk("anthropic", NARROW)
    assert sdk.ask("whole", "anth-narrow[1m]").text == "Fine."
    with pytest.raises(sdk.errors.PermissionDeniedError):
        sdk.ask("whole", "anth-wide[1m]")
    rig.script(Says(text="Fine."))
    rig.ask("anthropic", "anthropic", model="anth-dry[1m]")
    assert rig.asked.json["max_tokens"] == 5


def test_another_end_is_part_of_the_name(rig: Rig):
    with pytest.raises(rig.sdks["openai"].errors.NotFoundError, match=r"gpt\[2m\]"):
        rig.sdks["openai"].ask("whole", "gpt[2m]")
