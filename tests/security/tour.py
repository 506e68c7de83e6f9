"""Every endpoint of both planes, asked in every way that matters: soundly, dry, with wrong types, as somebody else, and
while the provider fails. Made from the tables, so that a new row is on the tour by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stage import TOOLS, Stage, path_of
from support import speech

from omniroute.api import ENDPOINTS
from omniroute.api.endpoint import Endpoint
from omniroute.relay.ingress import ENDPOINTS as CLIENT_ENDPOINTS

ENDS = {"/api/shutdown", "/api/restart", "/api/init"}
"""What ends the process or replaces its file."""
NAMES = {
    "/api/providers/": "open.main",
    "/api/provider-nodes/": "open",
    "/api/combos/": "coding",
    "/api/keys/": "team-a",
    "/api/policies/": "no-eu-data-to-us",
    "/api/oauth/": "signer",
    "/api/evals/": "smoke",
    "tool": "codex",
}
"""What stands for a parameter, by what is before it."""
QUERIES = {
    "/api/provider-models": "provider=lab&modelId=my-tune",
    "/api/models/alias": "alias=fast",
    "/api/pricing": "provider=lab&model=my-tune",
    "/api/usage/budget": "keyId=team-a",
    "/api/cli-tools/backups": "tool=codex",
    "/api/settings/proxy": "level=provider&id=olla",
}
"""Of rows that name in the query what is meant."""
ORDER = {"GET": 0, "POST": 1, "PATCH": 2, "PUT": 3, "DELETE": 4}
MODELS = ("open/m", "anth/m", "gem/m", "olla/m", "signer/m", "coding")
FEW = ("open/m", "signer/m", "coding")
MOODS = ("401", "500", "429", "400", "broken stream")


def rows(method: str | None = None) -> list[Endpoint]:
    """In an order in which what is needed is made before it is taken away."""
    chosen = [row for row in ENDPOINTS if row.path not in ENDS and method in (None, row.method)]
    return sorted(chosen, key=lambda row: ORDER[row.method])


def path(row: Endpoint) -> str:
    return path_of(row.path, NAMES)


def bodies(stage: Stage) -> dict[tuple[str, str], list[Any]]:
    """Bodies with a secret in them, of the rows that take one; sound ones first."""
    literal = f"version: 1\nproviders:\n  open:\n    connections: {{main: {{api_key: {stage.new('literal key')}}}}}\n"
    typed = {"provider": "open", "name": "typed", "apiKey": stage.new("typed key")}
    proxy = {"type": "http", "host": "127.0.0.1", "port": 9, "username": "u", "password": stage.new("typed proxy")}
    own: dict[tuple[str, str], list[Any]] = {
        ("POST", "/api/providers"): [
            typed,
            {**typed, "name": "bad name!", "apiKey": stage.new("key of a bad name")},
            {**typed, "name": "lines", "apiKey": f"{stage.new('key of two lines')}\n"},
            {**typed, "name": "list", "apiKey": [stage.new("key in a list")]},
            {**typed, "name": "headers", "headers": {"authorization": stage.new("typed header")}},
            {**typed, "apiKey": stage.new("key in a conflict")},
        ],
        ("PATCH", "/api/providers/{id}"): [{"apiKey": stage.new("patched key")}],
        ("PUT", "/api/providers/{id}"): [{"apiKey": stage.new("replaced key"), "priority": "high"}],
        ("POST", "/api/providers/validate"): [
            {"provider": "open", "apiKey": stage.new("validated key"), "model": "m"},
            {"provider": "nobody", "apiKey": stage.new("validated nowhere")},
            {"provider": "open", "apiKey": {"key": stage.new("validated object")}},
            {"provider": "open", "apiKey": stage.new("validated address"), "baseUrl": "file:///etc/passwd"},
        ],
        ("POST", "/api/provider-nodes/validate"): [
            {"baseUrl": f"{stage.upstream.url}/v1", "apiKey": stage.new("node key"), "type": "openai-compatible"},
            {"baseUrl": f"http://u:{stage.new('password in an address')}@127.0.0.1/v1", "apiKey": "x"},
        ],
        ("POST", "/api/provider-nodes"): [
            {
                "prefix": "rack",
                "name": "The rack",
                "type": "openai-compatible",
                "baseUrl": f"{stage.upstream.url}/v1",
                "headers": {"x-api-key": stage.new("header of a node")},
            },
            {
                "prefix": "rack2",
                "type": "openai-compatible",
                "baseUrl": f"http://u:{stage.new('password of a node')}@127.0.0.1/v1",
            },
        ],
        ("POST", "/api/settings/proxy/test"): [{"proxy": proxy, "provider": "open"}],
        ("PUT", "/api/settings/proxy"): [
            {"level": "provider", "id": "gem", "proxy": proxy},
            {"level": "provider", "id": "gem", "proxy": {**proxy, "port": "x", "password": stage.new("proxy refused")}},
        ],
        ("PUT", "/api/settings/require-login"): [
            {"requireLogin": True, "password": stage.new("changed password")},
            {"requireLogin": "yes", "password": stage.new("refused password")},
        ],
        ("POST", "/api/config/validate"): [{"yaml": literal}],
        ("PUT", "/api/cloud/bundle"): [{"files": {"omniroute.yaml": literal}}],
        ("POST", "/api/auth/login"): [{"password": stage.new("wrong password")}],
        ("POST", "/api/oauth/{provider}/exchange"): [
            {"code": stage.new("wrong code"), "state": stage.new("wrong state")}
        ],
        ("POST", "/api/oauth/{provider}/poll"): [{"deviceCode": stage.new("wrong device")}],
        ("POST", "/api/evals"): [{"suiteId": "smoke"}, {"suiteId": "smoke", "target": "gem/m"}],
        ("POST", "/api/sync/cloud"): [{"action": "sync"}, {"action": "compare"}],
    }
    for tool in TOOLS:
        told = {"baseUrl": stage.gateway.url, "apiKey": stage.new(f"key of {tool}"), "model": "coding"}
        own["POST", f"/api/cli-tools/{tool}-settings"] = [told, {**told, "model": 7}]
    return own


def manage(stage: Stage) -> None:
    """The whole management plane."""
    own = bodies(stage)
    for row in rows():
        where = path(row)
        for number, body in enumerate(own.get((row.method, row.path), [row.told.example])):
            query = f"?{QUERIES[row.path]}" if row.method in ("GET", "DELETE") and row.path in QUERIES else ""
            knows = row.told.query.__struct_encode_fields__ if row.told.query is not None else ()
            if "dry_run" in knows:
                stage.ask(row.method, f"{where}{query}{'&' if query else '?'}dry_run=1", body)
            answer = stage.ask(row.method, where + query, body, by="admin" if number % 2 == 0 else "session")
            _notice(stage, row, answer)
    _refused(stage, own)


def _notice(stage: Stage, row: Endpoint, answer: Any) -> None:
    """New keys are secrets from now on, each in the one answer that shows it."""
    if row.path in ("/api/keys", "/api/keys/{id}/rotate") and row.method == "POST" and answer.status < 300:
        stage.secret[f"shown by {row.path}"] = answer.json["key"]


def _refused(stage: Stage, own: dict[tuple[str, str], list[Any]]) -> None:
    """What is malformed, and what somebody asks for who may not."""
    for row in rows():
        body = own.get((row.method, row.path), [row.told.example])[0]
        for who in ("caller", "gone", "nobody knows"):
            stage.ask(row.method, path(row), body, by=who)
        if row.body_limit:
            stage.ask(row.method, path(row), b'{"apiKey": "' + stage.new("half a body").encode())
            for wrong in _mistyped(body):
                stage.ask(row.method, path(row), wrong)
        stage.ask(row.method, row.path.replace("{", "no-").replace("}", ""), body)


def _mistyped(body: Any) -> Iterator[Any]:
    """The same with one field of another type each, and with one that nobody knows."""
    if not isinstance(body, dict):
        yield [body]
        return
    for name, value in body.items():
        yield {**body, name: [value] if not isinstance(value, list) else {"0": value}}
    yield {**body, "noSuchField": 1}


def sign_in(stage: Stage) -> None:
    """A connection gets its tokens, by code and by device."""
    began = stage.ask("GET", "/api/oauth/signer/authorize").json
    told = {"code": stage.new("code"), "state": began["state"]}
    done = stage.ask("POST", "/api/oauth/signer/exchange", told)
    assert done.status == 200, done.body
    device = stage.ask("GET", "/api/oauth/signer/device-code").json
    stage.ask("POST", "/api/oauth/signer/poll", {"deviceCode": device["device_code"]})
    stage.ask("POST", "/api/oauth/signer/refresh")


def converse(stage: Stage, mood: str = "ok", models: tuple[str, ...] = MODELS) -> None:
    """The whole client plane, by key, in the query, and without."""
    stage.mood = mood
    phrases = iter(list(stage.phrases.values()) * 200)
    for row in CLIENT_ENDPOINTS:
        for model in models if row.metered else models[:1]:
            for stream in (False, True) if row.method == "POST" and row.operation == "chat" else (False,):
                where, body = _wanted(row, model, next(phrases), stream=stream)
                stage.ask(row.method, where, body, by="caller")
    key = stage.secret["caller client key"]
    gemini = {"contents": [{"role": "user", "parts": [{"text": next(phrases)}]}]}
    stage.ask("POST", f"/v1beta/models/coding:generateContent?key={key}", gemini, by="")
    for who in ("nobody knows", "gone"):
        stage.ask("POST", "/v1/chat/completions", speech.ask("coding"), by=who)
    stage.ask(
        "POST", "/v1/chat/completions", f'{{"model": "coding", "messages": "{next(phrases)}'.encode(), by="caller"
    )
    stage.ask("GET", f"/v1/nowhere?key={key}", by="caller")
    stage.mood = "ok"


def _wanted(row: Any, model: str, phrase: str, *, stream: bool) -> tuple[str, Any]:
    """A sound request of a row; where it takes what is below it, of something that is there."""
    if row.method != "POST":
        return (row.path if not row.mount else f"{row.path}/m"), None
    said: dict[str, Any] = {"model": model, "stream": stream, "max_tokens": 64}
    if row.format == "gemini":
        action = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"{row.path}/{model}:{action}", {"contents": [{"role": "user", "parts": [{"text": phrase}]}]}
    if row.path == "/v1/providers":
        row_path, provider = "/v1/providers/{}/chat/completions", model.partition("/")[0]
        return row_path.format(provider), said | {"messages": [{"role": "user", "content": phrase}]}
    if row.operation == "embeddings":
        return row.path, {"model": model.replace("/m", "/e"), "input": phrase, "prompt": phrase}
    if row.format == "openai_responses":
        return row.path, {"model": model, "stream": stream, "input": phrase}
    if row.path in ("/v1/completions", "/api/generate") or row.operation == "images":
        return row.path, said | {"prompt": phrase}
    return row.path, said | {"messages": [{"role": "user", "content": phrase}]}
