"""A real gateway that holds a secret in every place that takes one, in front of a provider that repeats what it hears.

`Stage` sends requests and keeps all that is answered; `traces` looks for what none of it may hold.
"""

from __future__ import annotations

import gzip
import http.client
import json
import secrets
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from argon2 import PasswordHasher
from support import speech
from support.gateway import Gateway
from support.git_server import TOKEN as GIT_TOKEN
from support.git_server import GitServer
from support.upstream import Asked, Script, Upstream, events, whole

NODES = {
    "open": ("openai-compatible", "/v1", "openai"),
    "anth": ("anthropic-compatible", "/v1", "anthropic"),
    "gem": ("gemini-compatible", "/v1beta", "gemini"),
    "olla": ("ollama-compatible", "", "ollama"),
}
"""The provider of each format: its type, where it is, and how it speaks."""
CONFIG = """\
version: 1
server: {{data_dir: "{{data_dir}}"}}
auth: {{require_login: true, password_hash: "{hash}"}}
providers:
  demo: {{}}
  lab: {{type: openai-compatible, base_url: "{url}/v1", connections: {{main: {{}}}}, models: {{my-tune: {{}}}}}}
{nodes}
  signer:
    type: openai-compatible
    base_url: {url}/v1
    oauth:
      authorization_endpoint: {url}/authorize
      token_endpoint: {url}/token
      device_authorization_endpoint: {url}/device
      revocation_endpoint: {url}/revoke
      redirect_uri: http://localhost:9999/callback
      scopes: [all]
    connections: {{main: {{oauth: {{client_id: omniroute, client_secret: "${{env:OAUTH_CLIENT}}"}}}}}}
    models: {{m: {{}}}}
combos:
  coding: {{targets: [open/m, anth/m, demo/echo]}}
  each: {{strategy: round-robin, targets: [open/m, gem/m, olla/m]}}
aliases: {{fast: open/m}}
keys:
  admin: {{digest: "{admin}", roles: [client, admin.write]}}
  caller: {{digest: "{caller}", roles: [client]}}
  team-a: {{digest: "{spare}", roles: [client]}}
  gone: {{digest: "{gone}", roles: [client, admin.write], expires: 2020-01-01}}
policies:
  no-eu-data-to-us: {{rules: [{{max_tokens: {{output: 8192}}}}]}}
budgets:
  team: {{limit: 50, period: monthly}}
settings:
  proxy:
    providers:
      olla: {{url: "http://127.0.0.1:9", username: team, password: "${{env:PROXY_PASSWORD}}"}}
    no_proxy: [127.0.0.1]
sync: {{remote: "{remote}", token: "${{env:GIT_TOKEN}}"}}
cli_tools: {{home: "{home}"}}
evals:
  smoke: {{model: open/m, cases: {{one: {{input: "{phrase}", expect: {{contains: Hello}}}}}}}}
resilience:
  profiles:
    api_key: {{failure_threshold: 1000, cooldown: 0s, max_cooldown: 0.001ms, reset_timeout: 0.001ms, honour_retry_after: false}}
    oauth: {{failure_threshold: 1000, cooldown: 0s, max_cooldown: 0.001ms, reset_timeout: 0.001ms, honour_retry_after: false}}
"""
TOOLS = ("claude", "codex", "droid", "openclaw", "gemini", "opencode", "cline", "qwen", "aider", "continue")
"""Their settings take a key each."""


class Answer:
    """One answer, with all its bytes; `to` is what was asked, by the class of who asked."""

    def __init__(self, to: str, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.to, self.status, self.headers, self.body = to, status, headers, body

    @property
    def raw(self) -> bytes:
        return "\n".join(f"{name}: {value}" for name, value in self.headers).encode("latin-1") + b"\n\n" + self.body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Stage:
    """Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.secret: dict[str, str] = {"git token": GIT_TOKEN}
        self.phrases = {f"prompt {number}": f"tale of {secrets.token_hex(12)}" for number in range(8)}
        self.answers: list[Answer] = []
        self.mood = "ok"
        self._stack = ExitStack()

    def new(self, name: str) -> str:
        """A secret of its own for a place."""
        return self.secret.setdefault(name, f"sk-{name.replace(' ', '-')}-{secrets.token_hex(16)}")

    def __enter__(self) -> Self:
        self.upstream = self._stack.enter_context(Upstream(self._says))
        self.git = self._stack.enter_context(GitServer(self.folder))
        self.gateway = self._stack.enter_context(Gateway(self._config(), **self._environment()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _config(self) -> str:
        nodes = []
        for name, (kind, place, _) in NODES.items():
            kept = self.folder / f"{name}.key"
            kept.write_text(self.new(f"{name} key in a file"))
            nodes.append(
                f"  {name}:\n    type: {kind}\n    base_url: {self.upstream.url}{place}\n"
                f'    headers: {{x-team-token: "${{env:{name.upper()}_HEADER}}"}}\n    models: {{m: {{}}, e: {{kind: embedding}}}}\n'
                f'    connections:\n      main: {{api_key: "${{env:{name.upper()}_KEY}}"}}\n'
                f'      filed: {{api_key: "${{file:{kept}}}", headers: {{x-own-secret: "${{env:{name.upper()}_OWN}}"}}}}'
            )
        digests = {
            name: f"sha256:{sha256(self.new(f'{name} client key').encode()).hexdigest()}"
            for name in ("admin", "caller", "spare", "gone")
        }
        hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(self.new("password"))
        return CONFIG.format(
            hash=hashed,
            nodes="\n".join(nodes),
            url=self.upstream.url,
            remote=self.git.url,
            home=self.home,
            phrase=self.phrases["prompt 0"],
            **digests,
        )

    def _environment(self) -> dict[str, str]:
        kinds = {"KEY": "key", "HEADER": "header", "OWN": "own header"}
        of_nodes = {
            f"{name.upper()}_{kind}": self.new(f"{name} {said}") for name in NODES for kind, said in kinds.items()
        }
        return {
            **of_nodes,
            "OAUTH_CLIENT": self.new("oauth client secret"),
            "PROXY_PASSWORD": self.new("proxy password"),
            "GIT_TOKEN": GIT_TOKEN,
        }

    # What the provider says.

    def _says(self, asked: Asked) -> Script:
        path = asked.path.partition("?")[0]
        if path in ("/token", "/device", "/revoke"):
            return self._authority(path)
        if self.mood in ("ok", "broken stream"):
            return self._served(asked, path)
        heard = " ".join(f"{name}={value}" for name, value in asked.headers.items())
        told = f"Incorrect API key provided: {heard} at {asked.path}; you said {asked.body.decode('utf-8', 'replace')}"
        return whole({"error": {"message": told, "type": told, "code": told}}, int(self.mood), x_heard=heard)

    def _authority(self, path: str) -> Script:
        if path == "/device":
            told = {"device_code": self.new("device code"), "user_code": "ABCD", "interval": 1, "expires_in": 600}
            return whole(told | {"verification_uri": f"{self.upstream.url}/activate"})
        if self.mood != "ok":
            return whole({"error": "invalid_grant", "error_description": f"no {self.new('refresh token')}"}, 400)
        tokens = {"access_token": self.new("access token"), "refresh_token": self.new("refresh token")}
        return whole(tokens | {"token_type": "Bearer", "expires_in": 3600, "scope": "all"})

    def _served(self, asked: Asked, path: str) -> Script:
        if path.endswith(("/models", "/tags")):
            listed = {"object": "list", "data": [{"id": "m", "object": "model"}], "models": [{"name": "m"}]}
            return whole(listed)
        form = next((form for form, end in ENDS.items() if end in path), "")
        if "mbed" in path:
            return whole({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}]})
        if not form:
            return whole({"error": {"message": "nothing here"}}, 404)
        streams = b'"stream":true' in asked.body.replace(b" ", b"") or "stream" in path
        if not streams:
            return whole(speech.whole(form))
        if self.mood == "ok":
            return events(*speech.streamed(form))
        echo = json.dumps({"error": {"message": f"no {asked.headers.get('authorization')}", "type": "x"}}).encode()
        return events(speech.begin(form), b"event: error\ndata: " + echo + b"\n\n", cut=True)

    # What is asked.

    def ask(self, method: str, path: str, body: Any = None, *, by: str = "admin", **named: str) -> Answer:
        """A request; `by` is a key's name, `session`, or nobody. Bytes go out as they are."""
        headers = {"host": f"127.0.0.1:{self.gateway.port}", **self._credential(by)}
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if content is not None:
            headers["content-type"] = "application/json"
        headers |= {name.replace("_", "-"): value for name, value in named.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=30)
        try:
            connection.request(method, path, content, headers)
            reply = connection.getresponse()
            answer = Answer(f"{method} {path} by {by}", reply.status, reply.getheaders(), b"")
            with suppress(http.client.IncompleteRead):
                answer.body = reply.read()
        finally:
            connection.close()
        self.answers.append(answer)
        return answer

    def _credential(self, by: str) -> dict[str, str]:
        if by == "session":
            return {"cookie": f"auth_token={self.secret['session cookie']}", "x-omniroute-csrf": self.csrf}
        return {"authorization": f"Bearer {self.new(f'{by} client key')}"} if by else {}

    def log_in(self) -> None:
        """From now on there is a session."""
        answer = self.ask("POST", "/api/auth/login", {"password": self.secret["password"]}, by="")
        assert answer.status == 200, answer.body
        cookie = {name.lower(): value for name, value in answer.headers}["set-cookie"]
        self.secret["session cookie"] = cookie.partition("auth_token=")[2].partition(";")[0]
        self.csrf = answer.json["csrfToken"]

    # Where it must not be.

    def traces(self, declared: Mapping[str, frozenset[str]] | None = None) -> list[str]:
        """Every secret or phrase with the place that holds it, but for those places whose name begins with one of its
        declared ones."""
        needles = {name: list(_forms(value)) for name, value in (self.secret | self.phrases).items()}
        found = []
        for place, content in self.places():
            for name, forms in needles.items():
                allowed = () if declared is None else declared.get(name, ())
                if any(form in content for form in forms) and not place.startswith(tuple(allowed)):
                    found.append(f"{name}: {place}")
        return sorted(set(found))

    def places(self) -> Iterator[tuple[str, bytes]]:
        """All that a gateway says, and all that it leaves behind."""
        yield "log", self.gateway.said().encode()
        yield "configuration", self.gateway.path.read_bytes()
        for answer in self.answers:
            yield f"answer to {answer.to}", _opened(answer.raw)
            if answer.body[:2] == b"\x1f\x8b":
                yield f"archive of {answer.to}", gzip.decompress(answer.body)
        for file in sorted((self.gateway.folder / "data").rglob("*")):
            if file.is_file():
                yield f"data/{file.relative_to(self.gateway.folder / 'data')}", _opened(file.read_bytes())
        for file in sorted(self.gateway.folder.glob("*")):
            if file.is_file() and file.name not in ("log", "omniroute.yaml"):
                yield f"beside/{file.name}", file.read_bytes()
        for name, text in self.git.files().items():
            yield f"remote/{name}", text.encode()
        for file in sorted(self.home.rglob("*")):
            if file.is_file():
                yield f"home/{file.relative_to(self.home)}", file.read_bytes()


ENDS = {
    "openai": "/chat/completions",
    "anthropic": "/messages",
    "responses": "/responses",
    "gemini": "enerateContent",
    "ollama": "/api/chat",
}


def _opened(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def _forms(value: str) -> Iterator[bytes]:
    """How a secret may be written: its middle, which no mask may show, and what base64 makes of it wherever it begins."""
    middle = value[-20:-4].encode()
    yield middle
    for shift in range(3):
        coded = b64encode(b"\0" * shift + middle)
        yield coded[4:-4]
    yield quote(middle).encode()


def path_of(template: str, names: Mapping[str, str]) -> str:
    """A path of a row for things that are there: `names` by the path up to the parameter."""
    path = template
    while "{" in path:
        before, _, rest = path.partition("{")
        parameter, _, after = rest.partition("}")
        path = before + names.get(before, names.get(parameter, "nothing")) + after
    return path


def host_of(url: str) -> str:
    return urlsplit(url).netloc
