"""What the files mean together: rules over the typed configuration, one function and one code each.

Types say what a value looks like; these say whether it leads anywhere, whether it can work, and (OR4xx, warnings) whether
it does what its author thinks.  `compile` relies on the errors: after them every name leads to a target and none in a
circle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, get_args
from urllib.parse import urlsplit

from omniroute.catalog import Catalog, Provider
from omniroute.config.problems import suggestion
from omniroute.config.spec import ComboSpec, Format, Headers, ProviderSpec, Spec, TargetSpec, reference
from omniroute.document import Place, is_secret_name, quoted
from omniroute.errors import Problem
from omniroute.routing.patterns import compile_pattern

if TYPE_CHECKING:
    from omniroute.config.bundle import Bundle

FORMATS = frozenset(get_args(Format))
RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "accept-encoding",
    }
)
"""Headers that belong to the connection and the body; set by hand they break both."""
MAX_NESTING = 16
PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc")

_variable = re.compile(r"\{([^{}]*)\}")


class Unknown(Exception):
    """A name that leads nowhere: the code of the problem, and what to say."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


class Names:
    """What names mean in a configuration, by the order of `routing/resolve.py`."""

    def __init__(self, spec: Spec, catalog: Catalog) -> None:
        self._spec = spec
        self._catalog = catalog
        self.exact = {name: target for name, target in spec.aliases.items() if "*" not in name}
        stars = sorted(
            (name for name in spec.aliases if "*" in name), key=lambda name: (name.count("*") - len(name), name)
        )
        self.wildcards = [(name, compile_pattern(name), spec.aliases[name]) for name in stars]

    def row(self, name: str) -> Provider | None:
        """A configured provider's row in the catalogue; None for a node of one's own."""
        spec = self._spec.providers[name]
        return self._catalog.providers.get(name if spec.type is None else spec.type)

    def provider(self, name: str) -> str | None:
        """The configured provider that a prefix means."""
        if name in self._spec.providers:
            return name
        full = self._catalog.provider_aliases.get(name, "")
        return full if full in self._spec.providers else None

    def next(self, name: str) -> str | None:
        """What a name stands for, one step on; None where it is itself a combo or a model. Raises Unknown."""
        if name in self._spec.combos:
            return None
        if name in self.exact:
            return self.exact[name]
        if self._qualified(name):
            return None
        for _, pattern, target in self.wildcards:
            caught = pattern.fullmatch(name)
            if caught:
                return self._direct(_filled(target, caught.groups()))
        return self._bare(name)

    def models(self, provider: str) -> Mapping[str, object]:
        """The models of a configured provider that are known by name."""
        row = self.row(provider)
        listed = self._catalog.models(row.id) if row is not None else {}
        return {**listed, **self._spec.providers[provider].models}

    def known_to_the_catalogue(self, name: str) -> bool:
        """Whether a `provider/model` is on the provider's list, where the catalogue has one."""
        provider, _, model = name.partition("/")
        full = self.provider(provider)
        row = self.row(full) if full is not None else None
        if full is None or row is None or not self._catalog.models(row.id):
            return True
        return model in self._catalog.models(row.id) or model in self._spec.providers[full].models

    @cached_property
    def all(self) -> tuple[str, ...]:
        """Every name that can be listed."""
        models = (
            f"{name}/{model}" for name in self._spec.providers if self.is_usable(name) for model in self.models(name)
        )
        return (*self._spec.combos, *self.exact, *models)

    def is_usable(self, provider: str) -> bool:
        """Whether the provider is one that can be looked up; what is wrong with it otherwise is told on its own."""
        return self._spec.providers[provider].type is not None or provider in self._catalog.providers

    def _qualified(self, name: str) -> bool:
        provider, slash, model = name.partition("/")
        return bool(slash and model and self.provider(provider))

    def _direct(self, name: str) -> str:
        """What a wildcard leads to is taken as it is: combos, aliases and `provider/model`, no further guessing."""
        if name in self._spec.combos or name in self.exact or self._qualified(name):
            return name
        raise self._unknown(name)

    def _bare(self, name: str) -> str:
        owners = [provider for provider in self._spec.providers if name in self.models(provider)]
        if len(owners) == 1:
            return f"{owners[0]}/{name}"
        if owners:
            choices = ", ".join(f"`{owner}/{name}`" for owner in owners)
            raise Unknown("OR207", f"several providers have {quoted(name)}", f"say which: {choices}")
        raise self._unknown(name)

    def _unknown(self, name: str) -> Unknown:
        provider, slash, model = name.partition("/")
        full = self._catalog.provider_aliases.get(provider, provider)
        if not slash:
            return Unknown("OR202", f"there is no model, alias or combo {quoted(name)}", suggestion(name, self.all))
        if full in self._catalog.providers:
            hint = f"the catalogue knows it: add `{full}` to `providers`"
            return Unknown("OR202", f"the provider {quoted(full)} is not configured", hint)
        near = suggestion(provider, self._spec.providers).replace("`?", f"/{model}`?") if model else ""
        return Unknown("OR202", f"there is no provider {quoted(provider)}", near)


def _filled(target: str, parts: Iterable[str]) -> str:
    for part in parts:
        target = target.replace("*", part, 1)
    return target


class Subject:
    """What a rule looks at, and how it reports."""

    def __init__(self, bundle: Bundle, catalog: Catalog, *, insecure: bool) -> None:
        self.spec = bundle.spec
        self.catalog = catalog
        self.names = Names(bundle.spec, catalog)
        self.insecure = insecure
        self.error = bundle.problem
        self._bundle = bundle

    def warning(self, code: str, place: Place, message: str, hint: str = "", *, key: bool = False) -> Problem:
        return self._bundle.problem(code, place, message, hint, severity="warning", key=key)

    def providers(self) -> Iterator[tuple[str, ProviderSpec, Provider | None]]:
        """Configured providers that can be looked up, with their rows."""
        for name, provider in self.spec.providers.items():
            if self.names.is_usable(name):
                yield name, provider, self.names.row(name)

    def references(self) -> Iterator[tuple[Place, str]]:
        """Every place where the file names a model, alias or combo that has to exist."""
        for name, target in self.spec.aliases.items():
            if "*" not in target:
                yield ("aliases", name), target
        for name, combo in self.spec.combos.items():
            yield from _targets(name, combo)
        for name, key in self.spec.keys.items():
            for index, pattern in enumerate(key.allow):
                if "*" not in pattern:
                    yield ("keys", name, "allow", index), pattern


Rule = Callable[[Subject], Iterable[Problem]]


def findings(bundle: Bundle, catalog: Catalog, *, insecure: bool = False) -> list[Problem]:
    """What the rules find, errors and warnings."""
    subject = Subject(bundle, catalog, insecure=insecure)
    return [problem for rule in RULES for problem in rule(subject)]


def _targets(name: str, combo: ComboSpec) -> Iterator[tuple[Place, str]]:
    """The targets of a combo, each with the place of its name."""
    for index, target in enumerate(combo.targets):
        place: Place = ("combos", name, "targets", index)
        yield ((*place, "model"), target.model) if isinstance(target, TargetSpec) else (place, target)


# ----------------------------------------------------------------------------------------------------------- providers


def unknown_provider(subject: Subject) -> Iterator[Problem]:
    """OR201"""
    for name in subject.spec.providers:
        if not subject.names.is_usable(name):
            full = subject.catalog.provider_aliases.get(name)
            hint = f"its name is `{full}`" if full else suggestion(name, subject.catalog.providers)
            message = f"the catalogue has no provider {quoted(name)}; a node of your own has `type` and `base_url`"
            yield subject.error("OR201", ("providers", name), message, hint, key=True)


def incomplete_node(subject: Subject) -> Iterator[Problem]:
    """OR308"""
    for name, provider, row in subject.providers():
        if row is None and provider.base_url is None:
            message = "a node of your own needs a `base_url`"
            yield subject.error("OR308", ("providers", name), message, key=True)


def missing_variable(subject: Subject) -> Iterator[Problem]:
    """OR206"""
    for name, provider, row in subject.providers():
        for variable in sorted(_variables(provider, row) - set(provider.variables)):
            message = f"the address of {quoted(name)} has a part `{{{variable}}}` that nothing fills in"
            hint = f"variables: {{{variable}: …}}"
            yield subject.error("OR206", ("providers", name), message, hint, key=True)


def unused_variable(subject: Subject) -> Iterator[Problem]:
    """OR408"""
    for name, provider, row in subject.providers():
        for variable in provider.variables:
            if variable not in _variables(provider, row):
                place = ("providers", name, "variables", variable)
                message = f"no address has a part `{{{variable}}}`"
                yield subject.warning("OR408", place, message, key=True)


def _variables(provider: ProviderSpec, row: Provider | None) -> set[str]:
    if row is None or provider.base_url is not None:
        return set()
    return {variable for url in row.formats.values() for variable in _variable.findall(url)}


def unusable_address(subject: Subject) -> Iterator[Problem]:
    """OR306"""
    for name, provider, _ in subject.providers():
        url = provider.base_url
        if url is not None and reference(url) is None:
            reason = _why_unusable(url)
            if reason:
                yield subject.error("OR306", ("providers", name, "base_url"), reason)


def _why_unusable(url: str) -> str:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return "the host or the port is not a possible one"
    if port == 0 or not host.strip("."):
        return "the host or the port is not a possible one"
    return "" if url.isascii() else "an address is written in ASCII; a host name with other letters as `xn--…`"


def plain_http(subject: Subject) -> Iterator[Problem]:
    """OR404"""
    for name, provider, _ in subject.providers():
        url = provider.base_url
        if url is not None and url.startswith("http://") and not _why_unusable(url) and not is_private(url):
            message = "keys and prompts go over plain http to a public address"
            yield subject.warning("OR404", ("providers", name, "base_url"), message, "use https")


def is_private(url: str) -> bool:
    """Whether an address belongs to this machine or a private network, as far as its text tells."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_SUFFIXES)
    return address.is_private or address.is_loopback or address.is_link_local


def unspoken_format(subject: Subject) -> Iterator[Problem]:
    """OR309"""
    for name, provider, row in subject.providers():
        if row is None or provider.base_url is not None:
            continue
        for index, form in enumerate(provider.formats or ()):
            if form not in row.formats:
                spoken = ", ".join(f"`{each}`" for each in row.formats if each in FORMATS)
                place = ("providers", name, "formats", index)
                hint = f"it speaks {spoken}" if spoken else ""
                yield subject.error("OR309", place, f"{quoted(name)} does not speak `{form}`", hint)


def missing_key(subject: Subject) -> Iterator[Problem]:
    """OR302"""
    for name, provider, row in subject.providers():
        if row is None or not row.key_required:
            continue
        hint = f'connections: {{main: {{api_key: "${{env:{row.env or "API_KEY"}}}"}}}}'
        if not provider.connections:
            message = f"{quoted(name)} needs a key, and there is no connection"
            yield subject.error("OR302", ("providers", name), message, hint, key=True)
        if provider.base_url is not None or _has_credential(provider.headers):
            continue
        for each, connection in provider.connections.items():
            if connection.api_key is None and not _has_credential(connection.headers):
                place = ("providers", name, "connections", each)
                message = f"{quoted(name)} needs a key, and this connection has none"
                yield subject.error("OR302", place, message, 'api_key: "${env:…}"', key=True)


def _has_credential(headers: Headers) -> bool:
    return any(is_secret_name(name) for name in headers)


def literal_secret(subject: Subject) -> Iterator[Problem]:
    """OR110"""
    for place, name, value in _headers(subject.spec):
        if is_secret_name(name) and reference(value) is None:
            message = (
                "must be a reference, `${env:NAME}` or `${file:/path}`: a credential does not belong into the file"
            )
            yield subject.error(
                "OR110", place, message, "put the value into the environment or a file, and its name here"
            )


def reserved_header(subject: Subject) -> Iterator[Problem]:
    """OR311"""
    for place, name, _ in _headers(subject.spec):
        if name.lower() in RESERVED or name.lower().startswith("proxy-"):
            yield subject.error("OR311", place, f"{quoted(name)} is set by the gateway itself", key=True)


def _headers(spec: Spec) -> Iterator[tuple[Place, str, str]]:
    for provider_name, provider in spec.providers.items():
        holders: list[tuple[Place, Headers]] = [(("providers", provider_name, "headers"), provider.headers)]
        for name, connection in provider.connections.items():
            holders.append((("providers", provider_name, "connections", name, "headers"), connection.headers))
        for place, headers in holders:
            for header, value in headers.items():
                yield (*place, header), header, value


def wrong_way_round(subject: Subject) -> Iterator[Problem]:
    """OR312"""
    for name, provider in subject.spec.providers.items():
        for field, limits in provider.quirks.clamp.items():
            if limits.min > limits.max:
                place = ("providers", name, "quirks", "clamp", field)
                yield subject.error("OR312", place, f"`min` {limits.min:g} is above `max` {limits.max:g}", key=True)


# -------------------------------------------------------------------------------------------------------------- routing


def unknown_name(subject: Subject) -> Iterator[Problem]:
    """OR202, OR207"""
    for place, name in subject.references():
        if place[0] != "keys":
            try:
                subject.names.next(name)
            except Unknown as unknown:
                yield subject.error(unknown.code, place, unknown.message, unknown.hint)


def unknown_wildcard_target(subject: Subject) -> Iterator[Problem]:
    """OR202"""
    for name, target in subject.spec.aliases.items():
        if "*" in target and not _can_match(subject.names, subject.spec, target):
            message = f"nothing here can be called {quoted(target)}"
            prefix, slash, _ = target.partition("/")
            hint = suggestion(prefix, subject.spec.providers).replace("`?", "/…`?") if slash else ""
            yield subject.error("OR202", ("aliases", name), message, hint)


def too_many_stars(subject: Subject) -> Iterator[Problem]:
    """OR310"""
    for name, target in subject.spec.aliases.items():
        if target.count("*") > name.count("*"):
            message = "the target has more stars than the name, so nothing would stand in for them"
            yield subject.error("OR310", ("aliases", name), message)


def same_name(subject: Subject) -> Iterator[Problem]:
    """OR301"""
    for name in subject.spec.aliases:
        if name in subject.spec.combos:
            message = f"{quoted(name)} is also a combo, and a combo comes first"
            yield subject.error("OR301", ("aliases", name), message, "rename one of them", key=True)


def circle(subject: Subject) -> list[Problem]:
    """OR203, OR204, OR313"""
    walk = _Walk(subject)
    for start in (*subject.spec.combos, *subject.names.exact):
        walk.depth(start, ())
    return walk.found


class _Walk:
    """Follows names to their ends, depth first. Each circle is told once, and once that names are nested too deeply."""

    def __init__(self, subject: Subject) -> None:
        self.found: list[Problem] = []
        self._subject = subject
        self._spec = subject.spec
        self._depths: dict[str, int] = {}
        self._too_deep = False

    def depth(self, name: str, trail: tuple[str, ...]) -> int:
        """How many steps a name is away from the farthest model behind it."""
        if name in trail:
            self._refuse_circle(trail[trail.index(name) :])
            return 0
        if name in self._depths:
            return self._depths[name]
        if len(trail) > MAX_NESTING:
            return MAX_NESTING
        onwards = [self.depth(each, (*trail, name)) for each in self._onwards(name)]
        deep = self._depths[name] = 1 + max(onwards) if onwards else 0
        if deep > MAX_NESTING and not self._too_deep:
            self._too_deep = True
            place = ("combos" if name in self._spec.combos else "aliases", name)
            message = f"more than {MAX_NESTING} combos and aliases, one inside the other"
            self.found.append(self._subject.error("OR313", place, message, key=True))
        return deep

    def _onwards(self, name: str) -> list[str]:
        if name in self._spec.combos:
            return [model for _, model in _targets(name, self._spec.combos[name])]
        try:
            step = self._subject.names.next(name)
        except Unknown:
            return []
        return [] if step is None or "*" in step else [step]

    def _refuse_circle(self, ring: tuple[str, ...]) -> None:
        way = " → ".join(quoted(each) for each in (*ring[:8], ring[0]))
        combos = [each for each in ring if each in self._spec.combos]
        code, place = ("OR203", ("combos", combos[0])) if combos else ("OR204", ("aliases", ring[0]))
        self.found.append(self._subject.error(code, place, f"goes in a circle: {way}", key=True))


def shadowed_alias(subject: Subject) -> Iterator[Problem]:
    """OR401"""
    for name in subject.spec.aliases:
        prefix, slash, _ = name.partition("/")
        if slash and "*" not in prefix and subject.names.provider(prefix) is not None:
            message = f"never applies: {quoted(prefix)} is a provider, and `provider/model` comes before aliases"
            yield subject.warning("OR401", ("aliases", name), message, key=True)


def unreachable_target(subject: Subject) -> Iterator[Problem]:
    """OR402"""
    for name, combo in subject.spec.combos.items():
        seen: set[str] = set()
        for place, target in _targets(name, combo):
            if target in seen:
                message = f"{quoted(target)} stands here twice"
                hint = "give it a weight instead" if combo.strategy == "weighted" else "use `retry` to try it again"
                yield subject.warning("OR402", place, message, hint)
            seen.add(target)


def unknown_model(subject: Subject) -> Iterator[Problem]:
    """OR405"""
    for place, name in subject.references():
        if not subject.names.known_to_the_catalogue(name):
            provider, _, model = name.partition("/")
            known = subject.names.models(subject.names.provider(provider) or provider)
            message = f"the catalogue knows no model {quoted(model)} at {quoted(provider)}; it is asked all the same"
            yield subject.warning("OR405", place, message, suggestion(model, known))


# ------------------------------------------------------------------------------------------------------------- callers


def same_digest(subject: Subject) -> Iterator[Problem]:
    """OR303"""
    first: dict[str, str] = {}
    for name, key in subject.spec.keys.items():
        other = first.setdefault(key.digest, name)
        if other != name:
            message = f"the same digest as the key {quoted(other)}: one of them would never be seen"
            yield subject.error("OR303", ("keys", name, "digest"), message, "`omniroute key new` makes another")


def no_such_day(subject: Subject) -> Iterator[Problem]:
    """OR304"""
    for name, key in subject.spec.keys.items():
        if key.expires is not None and _day(key.expires) is None:
            yield subject.error("OR304", ("keys", name, "expires"), f"there is no day {quoted(key.expires)}")


def expired(subject: Subject) -> Iterator[Problem]:
    """OR403"""
    today = datetime.now(UTC).date()
    for name, key in subject.spec.keys.items():
        day = _day(key.expires) if key.expires is not None else None
        if day is not None and day < today:
            yield subject.warning("OR403", ("keys", name, "expires"), f"the key {quoted(name)} has expired")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def allows_nothing(subject: Subject) -> Iterator[Problem]:
    """OR406"""
    for name, key in subject.spec.keys.items():
        for index, pattern in enumerate(key.allow):
            if not _can_match(subject.names, subject.spec, pattern):
                near = suggestion(pattern, (*subject.names.all, *subject.spec.providers))
                place = ("keys", name, "allow", index)
                yield subject.warning("OR406", place, f"{quoted(pattern)} matches nothing that can be asked for", near)


def _can_match(names: Names, spec: Spec, pattern: str) -> bool:
    """Whether a pattern, or a name, fits anything that a caller may ask for. Providers have models that no list knows,
    so that a pattern may reach into any provider's names."""
    if "*" not in pattern:
        try:
            names.next(pattern)
        except Unknown:
            return any(fits.fullmatch(pattern) for _, fits, _ in names.wildcards)
        return True
    start = pattern.partition("*")[0]
    prefix, slash, _ = start.partition("/")
    if slash:
        return names.provider(prefix) is not None or any(name.startswith(start) for name in spec.aliases)
    matcher = compile_pattern(pattern)
    return any(f"{provider}/".startswith(start) for provider in spec.providers) or any(
        matcher.fullmatch(name) for name in (*names.all, *spec.aliases, *_bare_models(names, spec))
    )


def _bare_models(names: Names, spec: Spec) -> Iterator[str]:
    for provider in spec.providers:
        if names.is_usable(provider):
            yield from names.models(provider)


def unknown_policy_key(subject: Subject) -> Iterator[Problem]:
    """OR205"""
    for name, policy in subject.spec.policies.items():
        for index, key in enumerate(policy.match.keys):
            if key not in subject.spec.keys:
                place = ("policies", name, "match", "keys", index)
                hint = suggestion(key, subject.spec.keys)
                yield subject.error("OR205", place, f"there is no key {quoted(key)}", hint)


# --------------------------------------------------------------------------------------------------------------- server


def open_to_strangers(subject: Subject) -> Iterator[Problem]:
    """OR305"""
    lacking = exposure(subject.spec, subject.spec.server.host)
    if lacking:
        message = f"listens on more than this machine, and lacks: {', '.join(lacking)}"
        hint = "or keep `host: 127.0.0.1`; `omniroute serve --insecure` is for closed test networks"
        report = subject.warning if subject.insecure else subject.error
        yield report("OR305", ("server", "host"), message, hint)


def exposure(spec: Spec, host: str, *, password: bool = False) -> list[str]:
    """What is missing for listening on this host: nothing on loopback, everything that keeps strangers out elsewhere.
    `password` says that there is one beside the file."""
    if is_loopback(host):
        return []
    auth = spec.auth
    needed = {
        "`auth.require_api_key: true`": auth.require_api_key,
        "at least one entry in `keys`": bool(spec.keys),
        "`auth.password_hash`": password or auth.password_hash is not None,
        "`auth.require_login: true`": auth.require_login,
    }
    return [what for what, there in needed.items() if not there]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


RULES: tuple[Rule, ...] = (
    unknown_provider,
    incomplete_node,
    missing_variable,
    unused_variable,
    unusable_address,
    plain_http,
    unspoken_format,
    missing_key,
    literal_secret,
    reserved_header,
    wrong_way_round,
    unknown_name,
    unknown_wildcard_target,
    too_many_stars,
    same_name,
    circle,
    shadowed_alias,
    unreachable_target,
    unknown_model,
    same_digest,
    no_such_day,
    expired,
    allows_nothing,
    unknown_policy_key,
    open_to_strangers,
)
