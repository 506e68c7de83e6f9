"""What policies and settings do to requests and answers, from each client's format to each upstream's."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from support.providers import Call, Says
from support.rig import KEY, PAIRS, UPSTREAM_MODEL, Rig, digest

CARD = "4111 1111 1111 1111"
ADDRESS = "jane.doe@example.com"
ARGUMENTS = json.dumps({"to": ADDRESS, "card": 4111111111111111, "note": "Grüße\n" + CARD})
EU = "sk-omniroute-of-the-eu"
POLICIES = r"""
policies:
  clean:
    match: {operations: [chat, embeddings, count_tokens]}
    rules:
      - redact: {patterns: [email, credit_card], expressions: {staff: '\bEMP-[0-9]{6}\b'}, in: [request, response]}
      - set_headers: {x-team: platform}
  guess:
    mode: shadow
    rules: [{deny_models: {patterns: ["open/*"]}}, {max_tokens: {output: 3}}]
  quiet:
    mode: shadow
    rules: [{redact: {patterns: [iban]}}]
  routed: {match: {models: [open/renamed]}, rules: [{route_to: {model: anth/chat}}]}
  agents: {match: {clients: [claude-code], models: [named-for-agents]}, rules: [{route_to: {model: gem/chat}}]}
  seeing: {match: {models: [resp/seen], has: [tools]}, rules: [{deny_models: {patterns: ["*"], reason: no tools here}}]}
  short: {match: {models: [resp/short], tokens: {max: 20}}, rules: [{deny_models: {patterns: ["*"], reason: too short}}]}
  elsewhere: {match: {ips: [10.0.0.0/8]}, rules: [{deny_models: {patterns: ["resp/*"]}}]}
  able: {match: {models: [olla/able]}, rules: [{require_capability: {capabilities: [vision]}}]}
  preferred: {match: {models: [either]}, rules: [{prefer_providers: {order: [gem, anth]}}]}
combos: {either: {targets: [open/chat, anth/chat, gem/chat]}}
"""
BODIES: dict[str, tuple[str, Any]] = {
    "openai": ("/v1/chat/completions", lambda text: {"messages": [{"role": "user", "content": text}]}),
    "responses": ("/v1/responses", lambda text: {"input": text}),
    "anthropic": ("/v1/messages", lambda text: {"max_tokens": 99, "messages": [{"role": "user", "content": text}]}),
    "gemini": ("/v1beta/models/{model}:generateContent", lambda text: {"contents": [{"parts": [{"text": text}]}]}),
    "ollama": ("/api/chat", lambda text: {"stream": False, "messages": [{"role": "user", "content": text}]}),
}
FORM = {"open": "openai", "resp": "responses", "anth": "anthropic", "gem": "gemini", "olla": "ollama"}
NODE = {form: node for node, form in FORM.items()}


@pytest.fixture(scope="module")
def rig():
    with Rig(POLICIES, aliases=', "named-for-agents": open/chat') as one:
        yield one


def post(rig: Rig, client: str, text: str, model: str, key: str = KEY, **more: Any) -> tuple[int, Any, dict[str, str]]:
    path, body = BODIES[client]
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", **more.pop("headers", {})}
    data = json.dumps({"model": model} | body(text) | more, ensure_ascii=False).encode()
    asked = urllib.request.Request(rig.gateway.url + path.format(model=model), data, headers)
    try:
        with urllib.request.urlopen(asked, timeout=20) as heard:
            return heard.status, json.loads(heard.read()), {k.lower(): v for k, v in heard.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), {k.lower(): v for k, v in error.headers.items()}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_request_goes_on_without_what_is_redacted(rig: Rig, client: str, upstream: str):
    rig.script(Says(text="Fine."))
    text = f"Mail {ADDRESS} about\n{CARD}, says EMP-123456"
    status, _, headers = post(rig, client, text, f"{NODE[upstream]}/chat")
    assert status == 200
    sent = rig.asked.body.decode()
    assert "Mail [EMAIL] about\\n[CREDIT_CARD], says [STAFF]" in sent
    assert ADDRESS not in sent
    assert rig.asked.headers["x-team"] == "platform"
    assert "x-omniroute-shadow" in headers


@pytest.mark.parametrize("way", ["whole", "stream"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_an_answer_comes_without_what_is_redacted(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(text=f"Ask {ADDRESS}! Or {CARD}. Grüße 🎉", calls=(Call("call_1", "send", ARGUMENTS),), size=3))
    heard = rig.ask(client, upstream, way)
    assert heard.text == "Ask [EMAIL]! Or [CREDIT_CARD]. Grüße 🎉"
    ((_, name, arguments),) = heard.calls
    arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
    assert (name, arguments) == (
        "send",
        {"to": "[EMAIL]", "card": "[CREDIT_CARD]", "note": "Grüße\n[CREDIT_CARD]"},
    )


def test_what_holds_nothing_goes_on_byte_for_byte(rig: Rig):
    rig.script(Says(text="Fine."))
    body = b'{"model": "open/chat",  "messages":[ {"content":"caf\\u00e9 \\/ 1.50e0","role":"user"} ], "x":1.0}'
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    urllib.request.urlopen(
        urllib.request.Request(rig.gateway.url + "/v1/chat/completions", body, headers), timeout=20
    ).close()
    assert b'[ {"content":"caf\\u00e9 \\/ 1.50e0","role":"user"} ]' in rig.asked.body


def test_the_shadow_tells_what_it_would_have_done_and_does_nothing(rig: Rig):
    rig.script(Says(text="Fine."))
    status, _, headers = post(rig, "openai", "Pay to DE89 3704 0044 0532 0130 00", "open/chat")
    assert status == 200
    assert headers["x-omniroute-shadow"] == "guess, quiet"
    assert "max_tokens" not in rig.asked.json
    assert "DE89 3704" in rig.asked.body.decode()
    rig.script(Says(text="Fine."))
    assert post(rig, "openai", "Hello", "anth/chat")[2]["x-omniroute-shadow"] == "guess"


def test_a_request_is_served_under_another_name(rig: Rig):
    rig.script(Says(text="Fine."))
    _, _, headers = post(rig, "openai", "Hello", "open/renamed")
    assert (headers["x-omniroute-provider"], headers["x-omniroute-model"]) == ("anth", UPSTREAM_MODEL["anthropic"])


@pytest.mark.parametrize(("agent", "provider"), [("claude-cli/2.0.1 (external, cli)", "gem"), ("curl/8", "open")])
def test_a_client_is_known_by_its_user_agent(rig: Rig, agent: str, provider: str):
    rig.script(Says(text="Fine."))
    _, _, headers = post(rig, "openai", "Hello", "named-for-agents", headers={"user-agent": agent})
    assert headers["x-omniroute-provider"] == provider


def test_a_condition_looks_at_what_the_request_has_and_how_long_it_is(rig: Rig):
    rig.script(Says(text="Fine."))
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    refused = post(rig, "openai", "Hello", "resp/seen", tools=[tool])
    assert (refused[0], refused[1]["error"]["code"]) == (403, "denied_by_policy")
    assert post(rig, "openai", "Hello", "resp/seen")[0] == 200
    assert post(rig, "openai", "Hello", "resp/short")[0] == 403
    assert post(rig, "openai", "Hello and again " * 50, "resp/short")[0] == 200


def test_a_model_that_lacks_a_capability_is_refused(rig: Rig):
    status, told, _ = post(rig, "openai", "Hello", "olla/able")
    assert (status, told["error"]["message"]) == (403, "policy able: it lacks vision")


def test_preferred_providers_are_tried_first(rig: Rig):
    rig.script(Says(text="Fine."))
    assert post(rig, "openai", "Hello", "either")[2]["x-omniroute-provider"] == "gem"


def test_what_cannot_be_read_through_is_refused(rig: Rig):
    rig.script(Says(text="Fine."))
    near = "4111 1111 1111 1112 " * 25_000
    status, told, _ = post(rig, "openai", near, "open/chat")
    assert (status, told["error"]["code"]) == (400, "redaction_failed")
    assert not rig.upstream.asked


def test_text_to_be_embedded_is_redacted_too(rig: Rig):
    rig.script(lambda _: __import__("support.upstream").upstream.whole({"object": "list", "data": [], "model": "m"}))
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    body = json.dumps({"model": "open/embed", "input": [f"about {ADDRESS}"]}).encode()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(rig.gateway.url + "/v1/embeddings", body, headers), timeout=20)
    assert rig.asked.json["input"] == ["about [EMAIL]"]


# -------------------------------------------------------------------------------------------------------- told before

SETTINGS = """
settings:
  system_prompt: {enabled: true, prompt: Be brief., position: prepend}
  thinking_budget: {mode: custom, custom_budget: 2048}
policies:
  behind: {match: {keys: [eu]}, rules: [{system_prompt: {prompt: Be kind., position: append}}, {thinking_budget: {mode: auto}}]}
"""


@pytest.fixture(scope="module")
def telling():
    with Rig(SETTINGS, keys=f', eu: {{digest: "sha256:{digest(EU)}"}}') as one:
        yield one


def instructions(sent: dict[str, Any]) -> str:
    """The system prompt of a request in whichever format."""
    if "systemInstruction" in sent:
        return "|".join(part["text"] for part in sent["systemInstruction"]["parts"])
    if "instructions" in sent:
        return sent["instructions"]
    given = sent.get("system")
    if given is None:
        given = "|".join(m["content"] for m in sent["messages"] if m["role"] in ("system", "developer"))
    return given if isinstance(given, str) else "|".join(block["text"] for block in given)


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_setting_and_a_policy_tell_their_texts_in_every_format(telling: Rig, client: str, upstream: str):
    telling.script(Says(text="Fine."))
    assert post(telling, client, "Hello", f"{NODE[upstream]}/chat", key=EU)[0] == 200
    told = instructions(telling.asked.json)
    assert told.replace("\n\n", "|") == "Be brief.|Be kind."


ASKS = {
    "openai": {"reasoning_effort": "high"},
    "responses": {"reasoning": {"effort": "high"}},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 8000}, "max_tokens": 9000},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 8000}}},
    "ollama": {"think": "high"},
}


def thought(sent: dict[str, Any]) -> Any:
    """What a request says of thinking, in its own words."""
    return (
        sent.get("thinking")
        or sent.get("reasoning_effort")
        or sent.get("reasoning")
        or sent.get("generationConfig", {}).get("thinkingConfig")
        or sent.get("think")
    )


WANTED = {
    "openai": "low",
    "responses": {"effort": "low"},
    "anthropic": {"type": "enabled", "budget_tokens": 2048},
    "gemini": {"thinkingLevel": "low", "includeThoughts": True},
    "ollama": "low",
}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_the_amount_of_thought_is_what_the_setting_says_in_every_format(telling: Rig, client: str, upstream: str):
    telling.script(Says(text="Fine."))
    assert post(telling, client, "Hello", f"{NODE[upstream]}/chat", **ASKS[client])[0] == 200
    told = thought(telling.asked.json)
    if isinstance(told, dict):
        told.pop("summary", None)
        told.pop("display", None)
    assert told == WANTED[upstream]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_policy_leaves_the_amount_of_thought_to_the_model(telling: Rig, client: str, upstream: str):
    telling.script(Says(text="Fine."))
    assert post(telling, client, "Hello", f"{NODE[upstream]}/chat", key=EU, **ASKS[client])[0] == 200
    assert not thought(telling.asked.json)


def test_a_request_that_asks_for_no_thought_of_a_model_that_has_none_is_left_alone(telling: Rig):
    telling.script(Says(text="Fine."))
    assert post(telling, "openai", "Hello", "open/chat")[0] == 200
    assert not thought(telling.asked.json)


# ----------------------------------------------------------------------------------------------------- and the cache

CACHED = """
cache: {exact: {ttl: 1h}}
policies:
  clean: {match: {models: [open/clean]}, rules: [{redact: {patterns: [email], in: [response]}}]}
"""


@pytest.mark.parametrize("way", ["whole", "stream"])
def test_an_answer_is_kept_without_what_is_redacted(way: str):
    with Rig(CACHED) as rig:
        rig.script(Says(text=f"Ask {ADDRESS}, please."))
        asked = {"model": "open/clean", "temperature": 0}
        first = rig.sdks["openai"].ask(way, **asked)
        again = rig.sdks["openai"].ask(way, **asked)
        assert (first.text, again.text) == ("Ask [EMAIL], please.", "Ask [EMAIL], please.")
        assert len(rig.upstream.asked) == 1
        assert rig.sdks["openai"].ask(way, model="open/chat", temperature=0).text == f"Ask {ADDRESS}, please."
