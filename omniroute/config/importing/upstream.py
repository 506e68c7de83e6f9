"""An export of the OmniRoute that this one follows: its JSON database or the archive of `/api/db-backups/exportAll`.

Both hold connections, nodes, aliases, combos, keys, settings and prices. The names of sections differ between versions
and between the two forms, and each is looked for under all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omniroute.config.importing.result import Result, address, duration, slug
from omniroute.config.importing.source import STATE, Part, Source

TITLE = "an OmniRoute export"
CONNECTIONS = ("providerConnections", "connections", "providers")
NODES = ("providerNodes", "nodes")
ALIASES = ("modelAliases", "aliases")
KEYS = ("apiKeys", "api-keys", "keys")
SECTIONS = (*CONNECTIONS, *NODES, *ALIASES, *KEYS, "combos", "settings", "pricing")
RENAMED = {
    "claude": "anthropic",
    "kimi": "moonshot",
    "glm": "zai",
    "ds": "deepseek",
    "pplx": "perplexity",
    "hyp": "hyperbolic",
}
"""Its ids of providers that have another name in the catalogue, besides the aliases that this knows."""
STRATEGIES = {
    "priority": "priority", "weighted": "weighted", "round-robin": "round-robin", "random": "random",
    "least-used": "least-used", "cost-optimized": "cost-optimized", "fill-first": "fill-first", "p2c": "p2c",
    "strict-random": "strict-random", "lkgp": "lkgp", "context-optimized": "context",
}  # fmt: skip
SELECTIONS = {"fill-first", "round-robin", "random", "least-used", "p2c"}
PRICES = {
    "input": "input",
    "output": "output",
    "cached": "cache_read",
    "reasoning": "reasoning",
    "cache_creation": "cache_write",
}
_STATE = [
    "id",
    "createdAt",
    "updatedAt",
    "testStatus",
    "backoffLevel",
    "lastTested",
    "lastError",
    "lastErrorAt",
    "consecutiveUseCount",
    "errorCode",
    "lastUsedAt",
    "rateLimitedUntil",
    "machineId",
    "version",
    "sortOrder",
    "expiresIn",
    "keyPrefix",
]
"""Fields of its objects that are state, and no configuration."""


def fits(data: Mapping[str, Any]) -> bool:
    """Whether a file looks like one of these."""
    if "model_list" in data or "Router" in data:
        return False
    known = [name for name in SECTIONS if isinstance(data.get(name), dict | list)]
    own = any(isinstance(data.get(name), list) for name in (*CONNECTIONS, *KEYS, "combos"))
    packed = isinstance(data.get("combos"), dict) and isinstance(data.get("providers"), dict) and "version" not in data
    return len(known) >= 2 and (own or packed)


def convert(source: Source, result: Result) -> None:
    """Makes nodes and connections providers, and the rest what has the same name here."""
    conversion = _Conversion(source.root, result)
    conversion.nodes()
    conversion.connections()
    conversion.aliases()
    conversion.combos()
    conversion.keys()
    conversion.pricing()
    conversion.settings()


class _Conversion:
    def __init__(self, root: Part, result: Result) -> None:
        self.root = root
        self.result = result
        self.prefixes: dict[str, str] = {}
        """What models are called by, and ids of nodes, with the provider that is meant."""
        self.bases: dict[str, tuple[str, str, str]] = {}

    def section(self, *names: str) -> Part:
        """A section, which may stand in another one of the same name, as a file in an archive has it."""
        part = self.root.first(*names)
        part = part or self.root["providers"].first(*names)
        return next((part[name] for name in (*names, "connections") if part[name]), part)

    def rows(self, *names: str) -> Iterator[Part]:
        part = self.section(*names)
        for each in part.parts():
            for state in _STATE:
                each[state].dropped(STATE)
            yield each

    # ------------------------------------------------------------------------------------------------------- providers

    def nodes(self) -> None:
        for node in self.rows(*NODES):
            self.node(
                node["id"].text, node["prefix"].text or node["name"].text, node["baseUrl"], node["type"].text, node
            )

    def node(self, identity: str, prefix: str, base: Part, kind: str, part: Part) -> str:
        at = address(base.text)
        if not at:
            part.dropped("there is no address that a provider can have")
            return ""
        ours = self.result.provider(slug(prefix or identity), at, of="anthropic" if "anthropic" in kind else "openai")
        self.prefixes[identity] = self.prefixes[prefix] = ours
        part.mapped(f"the provider `{ours}`")
        return ours

    def provider(self, connection: Part) -> str:
        """The provider of a connection."""
        theirs = connection["provider"].text
        if theirs in self.prefixes:
            return self.prefixes[theirs]
        data = connection["providerSpecificData"]
        if data["baseUrl"]:
            return self.node(theirs, data["prefix"].text or slug(theirs), data["baseUrl"], theirs, data)
        known = self.known(theirs)
        if known:
            self.result.provider(known)
            self.prefixes[theirs] = known
        return known

    def known(self, theirs: str) -> str:
        """The name that the catalogue has for a provider; empty where it has none."""
        catalog = self.result.catalog
        name = RENAMED.get(theirs, theirs)
        name = catalog.provider_aliases.get(name, name)
        return name if name in catalog.providers else ""

    def connections(self) -> None:
        for part in self.rows(*CONNECTIONS):
            provider = self.provider(part)
            if not provider:
                part.dropped(f"the catalogue has no provider `{part['provider'].text}`: make it a node of your own")
                continue
            if part["authType"].text == "oauth" or (part["accessToken"] and not part["apiKey"]):
                part.dropped(
                    "tokens of a sign-in are not copied: give the provider a connection with `oauth` and sign in"
                )
                continue
            self.connection(provider, part)

    def connection(self, provider: str, part: Part) -> None:
        more: dict[str, Any] = {}
        for theirs, ours in (("priority", "priority"), ("maxConcurrent", "max_concurrent")):
            number = part[theirs].number
            if number and number >= 1:
                more[ours] = int(number)
                part[theirs].mapped(f"`{ours}` of the connection")
        if part["isActive"].value in (False, 0):
            more["enabled"] = False
        if part["isActive"]:
            part["isActive"].mapped("`enabled` of the connection")
        name = self.result.connection(
            provider,
            self.result.key_of(part["apiKey"], provider),
            name=slug(part["name"].text).replace(".", "-"),
            **more,
        )
        part["name"].mapped(f"the connection `{provider}.{name}`")
        part["provider"].mapped(f"the provider `{provider}`")
        part["authType"].mapped("a key")
        for each in ("prefix", "baseUrl", "nodeName", "apiType"):
            part["providerSpecificData"][each].mapped("the node")

    # ----------------------------------------------------------------------------------------------------------- names

    def model(self, theirs: str) -> str:
        """The name of a model, with the provider as it is called here; as it was where none is known."""
        prefix, slash, model = theirs.partition("/")
        ours = self.prefixes.get(prefix) or self.known(prefix)
        return f"{ours}/{model}" if slash and ours in self.result.section("providers") else theirs

    def leads(self, name: str, names: set[str]) -> bool:
        """Whether a name, as it is called here, leads anywhere."""
        prefix, slash, _ = name.partition("/")
        return name in names or bool(slash and prefix in self.result.section("providers"))

    def names(self) -> set[str]:
        return {each["name"].text for each in self.section("combos").parts()}

    def aliases(self) -> None:
        names = self.names()
        for name, part in self.section(*ALIASES).items():
            target = self.model(part.text)
            self.alias(name, target, part, names)
        for part in self.section("settings")["wildcardAliases"].parts():
            pattern, target = part["pattern"].text, self.model(part["target"].text)
            if "?" in pattern:
                part.dropped("`*` is the only sign of patterns")
            else:
                self.alias(pattern, target, part, names)

    def alias(self, name: str, target: str, part: Part, names: set[str]) -> None:
        if not name or re.search(r"\s", name + target) or not self.leads(target, names) or name in names:
            part.dropped("its target did not come along" if name not in names else "a combo has the same name")
        elif name == target:
            part.dropped("it leads to itself")
        else:
            self.result.section("aliases")[name] = target
            part.mapped(f"the alias `{name}`")

    def combos(self) -> None:
        names = self.names()
        for part in self.rows("combos"):
            self.combo(part, names)

    def combo(self, part: Part, names: set[str]) -> None:
        targets: list[Any] = []
        strategy = part["strategy"].text or "priority"
        for each in part["models"].parts():
            whole = isinstance(each.value, dict)
            target = self.model((each["model"] if whole else each).text)
            if not self.leads(target, names) or target == part["name"].text:
                each.dropped("its provider did not come along")
                continue
            weight = each["weight"].number if whole else None
            weighted = strategy == "weighted" and weight and weight >= 1
            targets.append({"model": target, "weight": int(weight or 1)} if weighted else target)
            if strategy == "weighted" and not weighted:
                each.lossy("weight 1: there is no weight 0")
            else:
                each.mapped(f"the target {target}")
        if not targets:
            part.dropped("none of its models came along")
            return
        more: dict[str, Any] = {"strategy": STRATEGIES.get(strategy, "priority"), "always": True}
        if strategy in STRATEGIES:
            part["strategy"].mapped(f"`{more['strategy']}`")
        else:
            part["strategy"].lossy("`priority`: there is no strategy like it")
        config = part["config"]
        retries, delay = config["maxRetries"].number, config["retryDelayMs"].number
        if retries is not None:
            more["retry"] = {"attempts": int(retries), **({"delay": duration(delay / 1000)} if delay else {})}
            config["maxRetries"].mapped("`retry.attempts`")
            config["retryDelayMs"].mapped("`retry.delay`")
        part["name"].mapped(f"the combo `{part['name'].text}`")
        self.result.lead(part["name"].text, targets, **more)

    # ---------------------------------------------------------------------------------------------- keys, prices, settings

    def keys(self) -> None:
        for part in self.rows(*KEYS):
            allowed = [self.model(each.text) for each in part["allowedModels"].parts() if each.text]
            expires = re.match(r"\d{4}-\d{2}-\d{2}", part["expiresAt"].text)
            more = ({"allow": allowed} if allowed else {}) | ({"expires": expires[0]} if expires else {})
            if part["isActive"].value in (False, 0) or part["revokedAt"]:
                part.dropped("the key is not in force")
                continue
            self.result.caller(part["name"].text, part["key"], **more)
            part["name"].mapped("the name of the key")
            part["isActive"].mapped("a key that stands in the file is in force")
            part["allowedModels"].mapped("`allow` of the key")
            if expires:
                part["expiresAt"].lossy("`expires`: the whole of that day (UTC)")

    def pricing(self) -> None:
        for prefix, models in self.section("pricing").items():
            ours = self.prefixes.get(prefix) or self.known(prefix)
            if ours not in self.result.section("providers"):
                models.dropped("its provider did not come along")
                continue
            for model, part in models.items():
                price = {
                    PRICES[name]: each.number
                    for name, each in part.items()
                    if name in PRICES and each.number is not None
                }
                if price and not re.search(r"[\s*]", model):
                    self.result.section("pricing")[f"{ours}/{model}"] = price
                    for name, each in part.items():
                        if name in PRICES:
                            each.mapped(f"`{PRICES[name]}` of the price")

    def settings(self) -> None:
        settings = self.section("settings")
        auth = self.result.section("auth")
        for theirs, ours in (("requireLogin", "require_login"), ("requireAuthForModels", "require_api_key")):
            if settings[theirs]:
                auth[ours] = settings[theirs].is_on
                settings[theirs].mapped(f"`auth.{ours}`")
        selection = settings["fallbackStrategy"]
        if selection.text in SELECTIONS:
            for spec in self.result.section("providers").values():
                if len(spec.get("connections", {})) > 1:
                    spec["selection"] = selection.text
            selection.mapped("`selection` of providers with several connections")
        settings["password"].dropped("its hash is of another kind: make one by `omniroute password`")
