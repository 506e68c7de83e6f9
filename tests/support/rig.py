"""A gateway between the SDKs and a scripted provider that speaks all formats: what the end-to-end tests run on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from hashlib import sha256
from typing import Any, Self

from support.gateway import Gateway
from support.providers import Says, saying
from support.sdks import SDKS, Heard
from support.upstream import Asked, Script, Upstream

FORMATS = ("openai", "responses", "anthropic", "gemini", "ollama")
PAIRS = [(client, upstream) for client in FORMATS for upstream in FORMATS]
"""Each client before each upstream format."""
NODE = {"openai": "open", "responses": "resp", "anthropic": "anth", "gemini": "gem", "ollama": "olla"}
"""The provider that speaks each format."""
MODELS = {form: f"{node}/chat" for form, node in NODE.items()}
"""What a client asks for, to be served by an upstream of this format."""
UPSTREAM_MODEL = {
    "openai": "vendor-chat",
    "responses": "vendor-reasons",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-3-pro-preview",
    "ollama": "qwen3:8b",
}
"""What the provider is asked for then."""
KEY = "sk-omniroute-of-the-rig"
"""The key that the SDKs send: they insist on one, and a wrong one is refused."""
KEYS = {f"{node.upper()}_KEY": f"sk-provider-{node}" for node in NODE.values()}

CONFIG = """
version: 1
server: {{data_dir: "{{data_dir}}"{server}}}
auth: {{{auth}}}
providers:
  open:
    type: openai-compatible
    base_url: {url}/v1
    connections: {{main: {{api_key: "${{env:OPEN_KEY}}"}}}}
    models:
      chat:
        upstream_id: vendor-chat
        price: {{input: 1.25, output: 10, cache_read: 0.125, cache_write: 1.5625, reasoning: 12.5}}
  anth:
    type: anthropic-compatible
    base_url: {url}/v1
    connections: {{main: {{api_key: "${{env:ANTH_KEY}}"}}}}
    models:
      chat:
        upstream_id: claude-sonnet-4-5
        price: {{input: 3, output: 15, cache_read: 0.3, cache_write: 3.75, cache_write_1h: 6}}
  resp:
    type: openai-compatible
    formats: [openai_responses]
    base_url: {url}/v1
    connections: {{main: {{api_key: "${{env:RESP_KEY}}"}}}}
    models:
      chat:
        upstream_id: vendor-reasons
        price: {{input: 1.25, output: 10, cache_read: 0.125, cache_write: 1.5625, reasoning: 12.5}}
  gem:
    type: gemini-compatible
    base_url: {url}/v1beta
    connections: {{main: {{api_key: "${{env:GEM_KEY}}"}}}}
    models:
      chat:
        upstream_id: gemini-3-pro-preview
        price: {{input: 2, output: 12, cache_read: 0.2}}
  olla:
    type: ollama-compatible
    base_url: {url}
    connections: {{main: {{api_key: "${{env:OLLA_KEY}}"}}}}
    models:
      chat:
        upstream_id: "qwen3:8b"
        price: {{input: 0.1, output: 0.4}}
{providers}
keys: {{rig: {{digest: "sha256:{digest}"}}{keys}}}
# A name of its own for each request that is looked for in the ledger.
aliases: {{{own}{aliases}}}
# Connections that failed in one test are not to rest in the next.
resilience:
  profiles:
    api_key:
      failure_threshold: 1000
      cooldown: 0s
      max_cooldown: 0.001ms
      reset_timeout: 0.001ms
      honour_retry_after: false
{more}
"""
_ALIASES = ", ".join(f'"{node}-*": {node}/chat' for node in NODE.values())


def digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


class Rig:
    """Use as a context manager. `more` is appended to the configuration, `parts` to its sections of these names; there
    `{url}` is the provider's address."""

    def __init__(self, more: str = "", **parts: str) -> None:
        self._stack = ExitStack()
        self._more = more
        self._parts = dict.fromkeys(("aliases", "auth", "keys", "providers", "server"), "") | parts
        self._books: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        self.upstream = self._stack.enter_context(Upstream())
        url = self.upstream.url
        parts = {name: text.replace("{url}", url) for name, text in self._parts.items()}
        config = CONFIG.format(url=url, more=self._more, digest=digest(KEY), own=_ALIASES, **parts)
        self.gateway = self._stack.enter_context(Gateway(config, **KEYS))
        self.sdks = {name: self.sdk(name) for name in SDKS}
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self._audit()

    def sdk(self, name: str, key: str = KEY, **options: Any) -> Any:
        """A client of its own, closed with the rig."""
        one = SDKS[name](self.gateway.url, key, **options)
        self._stack.callback(one.close)
        return one

    def script(self, script: Says | Callable[[Asked], Script]) -> None:
        """What the provider does from now on; what it was asked before is forgotten. A connection that was refused may
        be tested by one request at a time, so the last one gets a moment to be noted down."""
        time.sleep(0.003)
        self.upstream.script = saying(script) if isinstance(script, Says) else script
        self.upstream.asked.clear()

    def ask(self, client: str, upstream: str, way: str = "whole", **request: Any) -> Heard:
        """What a client hears of a model behind an upstream of some format."""
        return self.sdks[client].ask(way, **({"model": MODELS[upstream]} | request))

    @property
    def asked(self) -> Asked:
        """The one request that reached the provider."""
        (one,) = self.upstream.asked
        return one

    def books(self, requested: str, **expected: Any) -> None:
        """Expects exactly one row in the ledger for all requests that asked for this name, with these values. Rows are
        written a moment later, so all of them are looked at when the rig is taken down."""
        assert requested not in self._books, f"{requested} is asked for twice"
        self._books[requested] = expected

    def _audit(self) -> None:
        deadline = time.monotonic() + 5
        while True:
            rows = self.gateway.rows()
            missing = self._books.keys() - {row["requested"] for row in rows}
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        wrong = [f"{name}: no row" for name in missing]
        seen: set[str] = set()
        for row in rows:
            name = row["requested"]
            if name in seen and name in self._books:
                wrong.append(f"{name}: more than one row")
            seen.add(name)
            for column, value in self._books.get(name, {}).items():
                found = _value(column, row)
                if not (value(found) if callable(value) else found == value):
                    wrong.append(f"{name}: {column} is {found!r}, not {value!r}")
        assert not wrong, "the ledger is wrong:\n" + "\n".join(wrong)


def _value(column: str, row: dict[str, Any]) -> Any:
    """A column as a test thinks of it; `outcomes` and `targets` are those of the attempts."""
    if column in ("outcomes", "targets"):
        return [attempt[column.removesuffix("s")] for attempt in json.loads(row["attempts"])]
    if column == "losses":
        return json.loads(row[column])
    if column == "cost":
        return None if row[column] is None else Decimal(row[column])
    return row[column]
