"""A gateway between a real authorization server and a provider that takes its tokens."""

from __future__ import annotations

import json
from typing import Any

import httpx
from authority import AuthorizationServer
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events, whole

ADMIN = "sk-admin-of-the-house"
OTHER = "sk-another-admin"
READER = "sk-reader-of-the-house"
CLIENT_SECRET = "s3cret-of-the-client"

CONFIG = """
version: 1
server: {{data_dir: "{{data_dir}}"}}
auth: {{require_api_key: true}}
providers:
  house:
    type: openai-compatible
    base_url: {upstream}/v1
    oauth: {{{oauth}}}
    connections: {{main: {{oauth: {{client_id: public}}}}}}
    models: {{chat: {{}}}}
  brief:
    type: openai-compatible
    base_url: {upstream}/v1
    oauth: {{{oauth}}}
    connections: {{main: {{oauth: {{client_id: short-lived}}}}}}
    models: {{chat: {{}}}}
  office:
    type: openai-compatible
    base_url: {upstream}/v1
    oauth: {{{oauth}}}
    connections:
      posts: {{oauth: {{client_id: confidential, client_secret: "${{env:CLIENT_SECRET}}", redirect_uri: "http://localhost:8080/callback"}}}}
      basic: {{oauth: {{client_id: "${{env:BASIC_ID}}", client_secret: "${{env:CLIENT_SECRET}}"}}}}
    models: {{chat: {{}}}}
  keyed:
    type: openai-compatible
    base_url: {upstream}/v1
    connections: {{main: {{api_key: "${{env:CLIENT_SECRET}}"}}}}
    models: {{chat: {{}}}}
keys:
  admin: {{digest: "sha256:{admin}", roles: [client, admin.write]}}
  other: {{digest: "sha256:{other}", roles: [admin.write]}}
  reader: {{digest: "sha256:{reader}", roles: [admin.read]}}
"""


class House:
    """A gateway before a provider that lets in whoever has a token that the authorization server knows."""

    def __init__(self, server: AuthorizationServer, upstream: Upstream, gateway: Gateway) -> None:
        self.server, self.upstream, self.gateway = server, upstream, gateway
        self.heard: list[str] = []
        """Every answer of the management plane."""
        upstream.script = self.serve
        self._http = httpx.Client(base_url=gateway.url, trust_env=False, timeout=20)

    def close(self) -> None:
        self._http.close()

    def serve(self, asked: Asked) -> Script:
        token = asked.headers["authorization"].removeprefix("Bearer ")
        if not self.server.knows(token):
            return whole({"error": {"message": f"the token {token} is not known here"}}, 401)
        if asked.json.get("stream"):
            chunk = {"id": "1", "model": "chat", "choices": [{"index": 0, "delta": {"content": "hello"}}]}
            return events(b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n")
        message = {"role": "assistant", "content": "hello"}
        return whole(
            {"id": "1", "model": "chat", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        )

    @property
    def tokens(self) -> list[str]:
        """Each token that the provider was sent, in the order of their first use."""
        return list(dict.fromkeys(one.headers["authorization"].removeprefix("Bearer ") for one in self.upstream.asked))

    def api(self, method: str, path: str, body: Any = None, key: str = ADMIN) -> httpx.Response:
        answer = self._http.request(method, f"/api/oauth/{path}", json=body, headers={"authorization": f"Bearer {key}"})
        self.heard.append(answer.text)
        return answer

    def get(self, name: str) -> str:
        """Another page of the management plane."""
        return self._http.get(f"/api/{name}", headers={"authorization": f"Bearer {ADMIN}"}).text

    def post(self, name: str) -> Any:
        """Another verb of it."""
        return self._http.post(f"/api/{name}", headers={"authorization": f"Bearer {ADMIN}"}).json()

    @property
    def revision(self) -> str:
        """The configuration that runs."""
        return self._http.get("/readyz").headers["x-omniroute-config"]

    def sign_in(self, provider: str, query: str = "") -> Any:
        """Signs in by code, as a user does."""
        began = self.api("GET", f"{provider}/authorize{query}").json()
        ended = self.server.sign_in(began["authUrl"])
        answer = self.api("POST", f"{provider}/exchange", {"callbackUrl": ended})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, model: str, **body: Any) -> httpx.Response:
        """A chat request."""
        return self._http.post(
            "/v1/chat/completions",
            json={"model": model, "messages": [{"role": "user", "content": "Hi"}]} | body,
            headers={"authorization": f"Bearer {ADMIN}"},
        )
