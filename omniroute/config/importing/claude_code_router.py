"""claude-code-router's config.json: providers with their models, and which one serves what Claude Code asks.

Source: its README and config.example.json (2026-10). Its order of routes is that of its router: long prompts first, then
the small model of the background, thinking, web search, and the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from omniroute.config.importing.result import Result, address, duration, slug
from omniroute.config.importing.source import Part, Source
from omniroute.config.spec.words import is_proxy_address

TITLE = "claude-code-router's configuration"
ENDS = (("/chat/completions", "openai"), ("/responses", "openai"), ("/v1/messages", "anthropic"), ("/models", "gemini"))
"""How addresses end, and whose format is spoken there."""
LONG = 60_000
BUILT_IN = {
    "anthropic", "openai", "openrouter", "deepseek", "gemini", "groq", "cerebras", "cleancache", "reasoning", "streamoptions",
}  # fmt: skip
"""Transformers whose work the gateway does by itself, by what it knows of formats and providers."""
MODES = {
    "LOG": "the gateway logs each request, and OMNIROUTE_LOG_LEVEL says how much else",
    "LOG_LEVEL": "OMNIROUTE_LOG_LEVEL says how much is logged",
    "NON_INTERACTIVE_MODE": "it is about the program that starts Claude Code",
    "CLAUDE_PATH": "it is about the program that starts Claude Code",
    "CUSTOM_ROUTER_PATH": "there is no code in the configuration: policies and combos with `when` say where requests go",
    "StatusLine": "it is about the program that starts Claude Code",
    "transformers": "there is no code in the configuration: `quirks` say what a provider wants otherwise",
}


def fits(data: Mapping[str, Any]) -> bool:
    """Whether a file looks like one of these."""
    return "Router" in data and isinstance(data.get("Providers", data.get("providers")), list)


def convert(source: Source, result: Result) -> None:
    """Makes providers, a combo `claude-code` of the routes, and aliases for what Claude Code asks for."""
    root = source.root
    known: dict[str, tuple[str, set[str]]] = {}
    for part in root.first("Providers", "providers").parts():
        _provider(part, result, known)
    _routes(root["Router"], result, known)
    _server(root, result)


def _provider(part: Part, result: Result, known: dict[str, tuple[str, set[str]]]) -> None:
    name, url = part["name"].text, part["api_base_url"]
    base, of = _base(url.text)
    if not name or not base:
        part.dropped("there is no address that a provider can have")
        return
    host = urlsplit(base).hostname
    row = next((row for row in result.catalog.providers.values() if urlsplit(row.base_url).hostname == host), None)
    local = host in ("localhost", "127.0.0.1")
    if row is not None and not local and "{" not in row.base_url:
        ours = result.provider(row.id)
        url.mapped(f"`{row.id}` of the catalogue, with the formats it has there")
    else:
        ours = result.provider(
            name if name not in result.catalog.providers or local else slug(f"{name}-node"), base, of=of
        )
        url.mapped("the address of a node of one's own")
    part["name"].mapped(f"the provider `{ours}`")
    result.connection(ours, result.key_of(part["api_key"], ours))
    spec = result.section("providers")[ours]
    models = {each.text for each in part["models"].parts()}
    if "type" in spec:
        listed = spec.setdefault("models", {})
        for each in part["models"].parts():
            listed.setdefault(each.text, {})
        part["models"].mapped("the models of the node")
    else:
        part["models"].mapped("names of models at the provider need not be listed")
    _transformers(part["transformer"], spec)
    known[name] = ours, models


def _base(text: str) -> tuple[str, str]:
    """Where the paths of a format start, and whose format it is."""
    plain = text.rstrip("/")
    for end, of in ENDS:
        if plain.endswith(end):
            return address(plain.removesuffix(end if of != "anthropic" else "/messages")), of
    return address(plain), "openai"


def _transformers(part: Part, spec: dict[str, Any]) -> None:
    for each in part["use"].parts():
        options = each[1] if isinstance(each.value, list) else each
        name = each[0].text if isinstance(each.value, list) else each.text
        most = options["max_tokens"].number
        if name == "maxtoken" and most:
            quirks = spec.setdefault("quirks", {})
            quirks["clamp"] = {"max_tokens": {"min": 1, "max": int(most)}}
            each.mapped("`quirks.clamp` of the provider")
        elif name in BUILT_IN:
            each.mapped("the gateway does it by itself")
        else:
            each.dropped("the gateway translates by itself, and `quirks` say what a provider wants otherwise")
    for name, below in part.items():
        if name != "use":
            below.dropped("what a provider wants otherwise is said for all of its models, by `quirks`")


def _routes(router: Part, result: Result, known: Mapping[str, tuple[str, set[str]]]) -> None:
    """A combo of what depends on the request, and patterns for the names that Claude Code asks for."""
    default = _target(router["default"], known)
    long, think = _target(router["longContext"], known), _target(router["think"], known)
    threshold = router["longContextThreshold"]
    targets: list[Any] = []
    if long:
        tokens = int(threshold.number or LONG)
        targets.append({"model": long, "when": {"min_tokens": tokens + 1}})
        router["longContext"].lossy(
            f"the target for prompts above {tokens} tokens; where it fails, the next one is tried"
        )
        threshold.mapped("the condition of that target")
    if think:
        targets.append({"model": think, "when": {"has": ["reasoning"]}})
        router["think"].lossy("the target for requests that wish to think; where it fails, the next one is tried")
    if default:
        router["default"].mapped("the last target of the combo `claude-code`")
        result.lead("claude-code", [*targets, default], strategy="priority", always=True)
        aliases = result.section("aliases")
        aliases["claude-*"] = "claude-code"
        background = _target(router["background"], known)
        if background:
            aliases["claude-*haiku*"] = background
            router["background"].mapped(
                "the alias `claude-*haiku*`: Claude Code asks for a small model in the background"
            )
    search = _target(router["webSearch"], known)
    if search:
        result.section("aliases")["web-search"] = search
        router["webSearch"].lossy("only by the name `web-search`: no condition tells such a request")
    image = _target(router["image"], known)
    if image and default:
        result.section("combos")["claude-code"]["targets"].insert(0, {"model": image, "when": {"has": ["images"]}})
        router["image"].mapped("the target for requests with images")


def _target(part: Part, known: Mapping[str, tuple[str, set[str]]]) -> str:
    """`provider,model` as a target; nothing, having said so, where the provider did not come along."""
    provider, _, model = part.text.partition(",")
    ours = known.get(provider.strip())
    if ours is None or not model.strip():
        part.dropped("it names no provider that came along")
        return ""
    return f"{ours[0]}/{model.strip()}"


def _server(root: Part, result: Result) -> None:
    for name, why in MODES.items():
        root[name].dropped(why)
    port = root["PORT"].number
    if port and port < 65536:
        result.section("server")["port"] = int(port)
        root["PORT"].mapped("`server.port`")
    if root["HOST"].text in ("127.0.0.1", "localhost", "::1"):
        root["HOST"].mapped("the gateway listens on this machine alone, if nothing else is said")
    else:
        root["HOST"].dropped("a public address needs `auth.password_hash` too: set `server.host` with it")
    if root["APIKEY"].text:
        result.section("auth")["require_api_key"] = True
        result.caller("claude-code", root["APIKEY"])
    milliseconds = root["API_TIMEOUT_MS"].number
    if milliseconds:
        for spec in result.section("providers").values():
            spec["timeouts"] = {"total": duration(milliseconds / 1000)}
        root["API_TIMEOUT_MS"].mapped("`timeouts.total` of every provider")
    proxy = root["PROXY_URL"]
    if is_proxy_address(proxy.text):
        result.section("settings")["proxy"] = {"global": {"url": proxy.text}}
        proxy.mapped("`settings.proxy.global`")
    else:
        proxy.dropped("a proxy is `http://host:port` or `socks5://host:port` here, and its user stands beside it")
