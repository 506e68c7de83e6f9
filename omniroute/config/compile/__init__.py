"""From the typed specification to the tables that requests are decided by.

The last step that can fail: what it gives is complete, every reference resolved, every pattern compiled, so that no
string is looked up twice when a request comes.  Secrets are handed through as they are and never opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import urlsplit

import msgspec

from omniroute.catalog import Catalog, Model, Offer, Operation, Provider, split_tier
from omniroute.config.bundle import Bundle
from omniroute.config.compile.cache import caching, idempotency
from omniroute.config.compile.combos import condition, hedge, needs
from omniroute.config.compile.facts import in_general, model_facts, quirks_of
from omniroute.config.compile.keys import digest, principal
from omniroute.config.compile.limits import Limited, budgets
from omniroute.config.compile.oauth import OAuths
from omniroute.config.compile.patience import deadlines, profile, queue, retry
from omniroute.config.compile.policies import general, policies
from omniroute.config.compile.settings import Proxies, ip_filter
from omniroute.config.compile.telemetry import telemetry
from omniroute.config.secrets import Resolver
from omniroute.config.spec import Spec
from omniroute.config.spec.combos import TargetSpec
from omniroute.config.spec.providers import ConnectionSpec, ModelSpec, ProviderSpec
from omniroute.config.spec.server import FetchImagesSpec
from omniroute.config.spec.words import reference, seconds, size
from omniroute.config.vault import Vault
from omniroute.document import Place, collector_paused
from omniroute.formats.codecs import CHAT
from omniroute.routing.caller import Networks
from omniroute.routing.patterns import compile_pattern
from omniroute.routing.policies import Policies
from omniroute.routing.resolve import single
from omniroute.routing.serving import servable
from omniroute.routing.tables import (
    DEFAULT_PORTS,
    ONWARD,
    Access,
    Alias,
    Auth,
    Connection,
    Endpoint,
    Fetching,
    Gateway,
    Listed,
    Origin,
    Proxy,
    Revision,
    Route,
    Server,
    Service,
    Target,
    Upstream,
)
from omniroute.secret import Secret
from omniroute.state.base import Keeping

OPENAI: Mapping[Operation, Offer] = {
    "embeddings": Offer("openai"),
    "images": Offer("openai"),
    "transcriptions": Offer("openai"),
}
OWN_NODES: Mapping[str, tuple[str, str, Mapping[Operation, Offer]]] = {
    "openai-compatible": ("openai_chat", "bearer", OPENAI),
    "anthropic-compatible": ("anthropic", "x-api-key", {}),
    "gemini-compatible": ("gemini", "x-goog-api-key", {"embeddings": Offer("gemini"), "images": Offer("gemini")}),
    "ollama-compatible": ("ollama", "bearer", {"embeddings": Offer("ollama")}),
}
"""What an own node speaks, how it takes its key, and what it does besides chat in which format, by its `type`."""
SHORTEST_SECRET = 8
"""Characters of a header's value that is taken for a secret where a provider quotes it."""


@collector_paused()
def compile_gateway(
    bundle: Bundle,
    catalog: Catalog,
    *,
    generation: int = 1,
    now: float = 0.0,
    resolve: bool = True,
    vault: Vault | None = None,
) -> Gateway:
    """The snapshot. Raises ConfigError for every secret that is missing; with `resolve=False`, which is for looking
    and not for serving, secrets stay closed references. `vault` is where kept secrets are, if not where the bundle
    says."""
    return _Compiler(bundle, catalog, Resolver(bundle, resolve=resolve, vault=vault)).gateway(generation, now)


def compile_trial(bundle: Bundle, catalog: Catalog, name: str, spec: ProviderSpec, key: str | None) -> Upstream:
    """A provider that stands in no file, with one connection, `trial`, and this key on it as it is: a text that looks
    like a reference is not followed. The way there is that of the configuration, so what it says of proxies holds.
    Raises ConfigError where secrets on that way are missing."""
    resolver = Resolver(bundle)
    alone = msgspec.structs.replace(spec, connections={"trial": ConnectionSpec()})
    upstream = _Compiler(bundle, catalog, resolver).upstream(name, alone)
    resolver.check()
    (connection,) = upstream.connections
    auth = msgspec.structs.replace(connection.auth, secret=None if key is None else Secret(key))
    return msgspec.structs.replace(upstream, connections=(msgspec.structs.replace(connection, auth=auth),))


def _referred(written: Mapping[str, str], headers: Sequence[tuple[bytes, bytes]]) -> tuple[Secret, ...]:
    """The headers that are secrets, since the file has references in their place; of `Bearer …`, what follows too. A
    short value tells nothing, and would be found in texts where it was not meant."""
    values = [
        value.decode("latin-1")
        for text, (_, value) in zip(written.values(), headers, strict=True)
        if reference(text) is not None
    ]
    parts = dict.fromkeys(part for value in values for part in (value, value.rpartition(" ")[2]))
    return tuple(Secret(part) for part in parts if len(part) >= SHORTEST_SECRET)


class _Compiler:
    """Compiles one bundle; what several tables need is worked out once and kept here."""

    def __init__(self, bundle: Bundle, catalog: Catalog, resolver: Resolver) -> None:
        self.bundle = bundle
        self.spec: Spec = bundle.spec
        self.catalog = catalog
        self.resolver = resolver
        self.routes: dict[str, Route] = {}
        self.upstreams: dict[str, Upstream] = {}
        self.prefixes: dict[str, str] = {}
        self.exact: dict[str, str] = {}
        self.wildcards: tuple[Alias, ...] = ()
        self.proxies = Proxies(self.spec.settings.proxy, resolver)

    def gateway(self, generation: int, now: float) -> Gateway:
        """Everything; the order matters, because routes refer to what was compiled before them."""
        spec = self.spec
        self.upstreams = {name: self.upstream(name, provider) for name, provider in spec.providers.items()}
        self.prefixes = self.shorts()
        known = self.known()
        self.routes.update(known)
        for route in known.values():
            for target in route.steps:
                # asked for by the provider's own word for it, it is still the same model
                if isinstance(target, Target):
                    self.routes.setdefault(f"{target.upstream.name}/{target.model}", route)
        self.exact = {name: target for name, target in spec.aliases.items() if "*" not in name}
        self.wildcards = tuple(_wildcards(spec.aliases))
        for name in (*spec.combos, *self.exact):
            self.named(name)
        access = self.access()
        limited, spending = Limited(spec.limits), budgets(spec.budgets)
        rules = Policies(policies(spec.policies, limited, self.bundle, self.resolver))
        told = telemetry(spec.telemetry, self.resolver)
        self.resolver.check()
        return Gateway(
            revision=Revision(
                digest=self.bundle.digest, generation=generation, source=str(self.bundle.path), loaded_at=now
            ),
            server=_server(spec),
            access=access,
            routes=MappingProxyType(self.routes),
            bare=MappingProxyType(_owners(known)),
            aliases=self.wildcards,
            upstreams=MappingProxyType(self.upstreams),
            prefixes=MappingProxyType(self.prefixes),
            principals=MappingProxyType(
                {digest(key): principal(name, key, limited, spending) for name, key in spec.keys.items()}
            ),
            policies=rules,
            queue=queue(spec.resilience.queue),
            limits=limited.always,
            budgets=MappingProxyType(spending),
            models=self.listed(known),
            warnings=tuple(self.bundle.warnings),
            secrets=self.resolver.fingerprint,
            ip_filter=ip_filter(spec.settings.ip_filter),
            session_ttl=seconds(spec.settings.session_ttl),
            cache=caching(spec),
            idempotency=idempotency(spec.idempotency),
            orders=general(spec.settings),
            telemetry=told,
        )

    # ------------------------------------------------------------------------------------------------ where to send

    def upstream(self, name: str, spec: ProviderSpec) -> Upstream:
        row = self.row(name, spec)
        scheme = row.auth if row is not None else OWN_NODES[spec.type or ""][1]
        connections = {each: one for each, one in spec.connections.items() if one.enabled}
        if not spec.connections and (row is None or not row.key_required):
            connections = {"default": ConnectionSpec()}
        signs_in = OAuths(row.oauth if row else None, spec.oauth, ("providers", name), self.resolver, self.endpoint)
        written = {**(row.headers if row else {}), **spec.headers}
        headers = self.headers(written, ("providers", name, "headers"))
        besides = _referred(written, headers)
        return Upstream(
            name=name,
            endpoints=MappingProxyType(self.endpoints(name, spec, row)),
            connections=tuple(
                self.connection(name, each, one, scheme, signs_in, besides) for each, one in connections.items()
            ),
            selection=spec.selection,
            headers=headers,
            deadlines=deadlines(spec.timeouts),
            quirks=quirks_of(row, spec.quirks),
            operations=MappingProxyType(self.operations(name, spec, row)),
            transport="demo" if row is not None and row.type == "demo" else spec.transport,
            proxy=self.proxies.provider(name),
        )

    def row(self, name: str, spec: ProviderSpec) -> Provider | None:
        """The provider's row in the catalogue; None for a node of one's own."""
        return self.catalog.providers.get(name if spec.type is None else spec.type)

    def endpoints(self, name: str, spec: ProviderSpec, known: Provider | None) -> dict[str, Endpoint]:
        """Where each format is spoken that we speak too, in the provider's order of preference."""
        if spec.base_url is not None:
            base = self.resolver.address(spec.base_url, ("providers", name, "base_url")).format_map(spec.variables)
            formats: Iterable[str] = spec.formats or (known.formats if known else (OWN_NODES[spec.type or ""][0],))
            places = {form: base + (_below(known, form) if known else "") for form in formats}
        else:
            assert known is not None
            places = {form: url.format_map(spec.variables) for form, url in known.formats.items()}
            if spec.formats:
                places = {form: places[form] for form in spec.formats}
        return {form: self.endpoint(url) for form, url in places.items() if form in CHAT}

    def operations(self, name: str, spec: ProviderSpec, known: Provider | None) -> dict[str, Service]:
        """What it does besides chat."""
        done: Mapping[Operation, Offer] = known.operations if known is not None else OWN_NODES[spec.type or ""][2]
        if not done:
            return {}
        if spec.base_url is not None:
            base = self.resolver.address(spec.base_url, ("providers", name, "base_url"))
        else:
            assert known is not None
            base = known.base_url
        endpoint = self.endpoint(base.format_map(spec.variables))
        return {
            operation: Service(format=offer.format, endpoint=endpoint, quirks=quirks_of(offer, in_general(spec.quirks)))
            for operation, offer in done.items()
        }

    def endpoint(self, url: str) -> Endpoint:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
        origin = Origin(parts.scheme, host, port)
        return Endpoint(origin=origin, base_path=parts.path.rstrip("/"), direct=self.proxies.passes(host))

    def connection(
        self,
        provider: str,
        name: str,
        spec: ConnectionSpec,
        scheme: str,
        signs_in: OAuths,
        besides: tuple[Secret, ...],
    ) -> Connection:
        at = ("providers", provider, "connections", name)
        key = self.resolver.secret(spec.api_key, (*at, "api_key")) if spec.api_key is not None else None
        headers = self.headers(spec.headers, (*at, "headers"))
        proxy = self.proxies.connection(f"{provider}.{name}")
        besides = (*besides, *_referred(spec.headers, headers))
        auth = Auth(scheme=scheme, secret=key, besides=besides)
        if spec.oauth is not None:
            oauth = signs_in.of(name, spec.oauth, proxy or self.proxies.provider(provider))
            common = self.headers(signs_in.headers, ("providers", provider, "oauth", "headers"))
            besides = (*besides, *_referred(signs_in.headers, common))
            auth = Auth(scheme="oauth", secret=None, oauth=oauth, besides=besides)
            headers = (*common, *headers)
        return Connection(
            id=f"{provider}.{name}",
            name=name,
            auth=auth,
            priority=spec.priority,
            weight=spec.weight,
            max_concurrent=spec.max_concurrent,
            profile=profile(self.spec.resilience.profiles, auth.scheme),
            headers=headers,
            proxy=proxy,
            siblings=self.siblings(provider, name, spec.quota_group),
            heed_limits=spec.heed_limits,
        )

    def siblings(self, provider: str, name: str, group: str | None) -> tuple[str, ...]:
        """The other connections of a quota group."""
        if group is None:
            return ()
        connections = self.spec.providers[provider].connections
        return tuple(
            f"{provider}.{other}" for other, spec in connections.items() if spec.quota_group == group and other != name
        )

    def headers(self, spec: Mapping[str, str], at: Place) -> tuple[tuple[bytes, bytes], ...]:
        return tuple(
            (name.lower().encode(), self.resolver.text(value, (*at, name)).encode("latin-1"))
            for name, value in spec.items()
        )

    # ------------------------------------------------------------------------------------------------ how to choose

    def known(self) -> dict[str, Route]:
        """A route for every `provider/model` that the catalogue or the file knows."""
        return {
            route.name: route
            for name, upstream in self.upstreams.items()
            for route in self.provider_routes(name, upstream)
        }

    def provider_routes(self, name: str, upstream: Upstream) -> Iterator[Route]:
        spec = self.spec.providers[name]
        row = self.row(name, spec)
        listed = self.catalog.models(row.id) if row is not None else {}
        tiers = self.catalog.tiers(row.id) if row is not None else {}
        prices = self.spec.pricing
        for model in dict.fromkeys((*listed, *spec.models)):
            if split_tier(model)[0]:
                continue
            own = spec.models.get(model, ModelSpec())
            overlay = prices.get(f"{name}/{model}")
            facts = model_facts(listed.get(model) or Model(id=model, kind=own.kind), own, overlay)
            if servable(upstream, facts):
                dear = tiers.get(model, {}) if own.price is None and overlay is None else {}
                yield single(upstream, model, own.upstream_id or model, facts, dear)

    def named(self, name: str) -> Route:
        """The route that a name in the file means, compiled when it is first needed. Lint has seen to it that every
        name leads somewhere and none in a circle."""
        found = self.routes.get(name)
        if found is None:
            found = self.routes[name] = self.make(name)
        return found

    def make(self, name: str) -> Route:
        combo = self.spec.combos.get(name)
        if combo is not None:
            steps = tuple(
                self.step(TargetSpec(model=each) if isinstance(each, str) else each) for each in combo.targets
            )
            defaults = self.spec.settings.combo_defaults
            onward = defaults.on if combo.on is None else combo.on
            route = Route(
                name=name,
                strategy=combo.strategy or defaults.strategy,
                steps=steps,
                retry=retry(combo.retry or defaults.retry),
                on=ONWARD if onward is None else frozenset(onward),
                hedge=hedge(combo.hedge),
                sticky=combo.sticky is not None,
            )
            route = msgspec.structs.replace(route, needs=needs(route))
            proxy = self.proxies.combo(name)
            return route if proxy is None else _through(route, proxy)
        target = self.exact.get(name)
        if target is not None:
            return self.named(target)
        provider, _, model = name.partition("/")
        upstream = self.upstreams.get(self.prefixes.get(provider, provider))
        if upstream is not None and model:
            return self.routes.get(f"{upstream.name}/{model}") or single(
                upstream, model, model, Model(id=model, kind=None)
            )
        return self.named(self.indirect(name))

    def indirect(self, name: str) -> str:
        """What a wildcard alias makes of a name, or the one provider that has a model of this name."""
        for alias in self.wildcards:
            target = alias.translate(name)
            if target is not None:
                return target
        return next(route for route in self.routes if route.partition("/")[2] == name)

    def step(self, spec: TargetSpec) -> Route | Target:
        """A target of a combo: another combo as a whole, or a single model as the target that it is."""
        route = self.named(spec.model)
        if spec.timeout is not None:
            route = _hurried(route, seconds(spec.timeout))
        target = _only_target(route) if route.name not in self.spec.combos else None
        return msgspec.structs.replace(target or route, weight=spec.weight, when=condition(spec.when))

    def shorts(self) -> dict[str, str]:
        """Other names of configured providers, where no provider has that name itself."""
        return {
            short: name
            for short, name in self.catalog.provider_aliases.items()
            if short not in self.upstreams and name in self.upstreams
        }

    # ------------------------------------------------------------------------------------------------------- access

    def access(self) -> Access:
        auth = self.spec.auth
        stored = auth.password_hash
        return Access(
            require_login=auth.require_login,
            password_hash=self.resolver.secret(stored, ("auth", "password_hash")) if stored is not None else None,
            session_ttl=seconds(auth.session_ttl),
            allowed_hosts=frozenset(self.spec.server.allowed_hosts),
        )

    def listed(self, known: Mapping[str, Route]) -> tuple[Listed, ...]:
        """The lines of `/v1/models`: combos, aliases, then models of providers that can be called."""
        combos = (Listed(id=name, owned_by="combo", facts=None) for name in self.spec.combos)
        aliases = (Listed(id=name, owned_by="alias", facts=_onlyfacts(self.routes[name])) for name in self.exact)
        models = (
            Listed(id=name, owned_by=target.upstream.name, facts=target.facts)
            for name, route in known.items()
            for target in route.steps
            if isinstance(target, Target) and target.upstream.connections and not self.hidden(target)
        )
        return (*combos, *aliases, *models)

    def hidden(self, target: Target) -> bool:
        provider, _, model = target.id.partition("/")
        own = self.spec.providers[provider].models.get(model)
        return own is not None and own.hidden


def _hurried(route: Route, total: float) -> Route:
    """The route with a limit on every try of every target behind it."""
    steps = tuple(
        msgspec.structs.replace(step, deadlines=msgspec.structs.replace(step.deadlines, total=total))
        if isinstance(step, Target)
        else _hurried(step, total)
        for step in route.steps
    )
    return msgspec.structs.replace(route, steps=steps)


def _through(route: Route, proxy: Proxy) -> Route:
    """The route with a proxy on the way to every target that an inner combo has none for."""
    steps = tuple(
        msgspec.structs.replace(step, proxy=step.proxy or proxy) if isinstance(step, Target) else _through(step, proxy)
        for step in route.steps
    )
    return msgspec.structs.replace(route, steps=steps)


def _only_target(route: Route) -> Target | None:
    first = route.steps[0]
    return first if len(route.steps) == 1 and isinstance(first, Target) else None


def _onlyfacts(route: Route) -> Model | None:
    target = _only_target(route)
    return target.facts if target is not None else None


def _owners(known: Mapping[str, Route]) -> dict[str, tuple[str, ...]]:
    """Which routes end in a model id, for requests that name no provider; only providers that can be called count."""
    owners: dict[str, list[str]] = {}
    for name, route in known.items():
        target = _only_target(route)
        if target is not None and target.upstream.connections:
            owners.setdefault(name.partition("/")[2], []).append(name)
    return {model: tuple(names) for model, names in owners.items()}


def _wildcards(aliases: Mapping[str, str]) -> list[Alias]:
    """Wildcard aliases, those with the most literal text first, equal ones in the order of their text."""
    stars = [name for name in aliases if "*" in name]
    stars.sort(key=lambda name: (name.count("*") - len(name), name))
    return [Alias(text=name, pattern=compile_pattern(name), target=aliases[name]) for name in stars]


def _below(known: Provider, form: str) -> str:
    """Where a format's paths start below the provider's own base, if that is where they do."""
    place = known.formats.get(form, "")
    return place.removeprefix(known.base_url) if place.startswith(known.base_url) else ""


def _fetching(spec: FetchImagesSpec) -> Fetching | None:
    if not spec.enabled:
        return None
    return Fetching(
        hosts=tuple(map(compile_pattern, spec.hosts)), max_bytes=size(spec.max_bytes), timeout=seconds(spec.timeout)
    )


def _server(spec: Spec) -> Server:
    return Server(
        require_api_key=spec.auth.require_api_key,
        body_limit=size(spec.server.body_limit),
        audio_limit=size(spec.server.audio_limit),
        ping_interval=seconds(spec.server.ping_interval),
        progress_interval=seconds(spec.server.progress_interval),
        strict_translation=spec.server.strict_translation,
        fetch_images=_fetching(spec.server.fetch_images),
        trusted_proxies=Networks(spec.server.trusted_proxies),
        answers=Keeping(
            ttl=seconds(spec.responses.ttl),
            entries=spec.responses.max_entries if spec.responses.store else 0,
            bytes=size(spec.responses.max_bytes),
        ),
    )
