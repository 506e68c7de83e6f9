"""What names mean in a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from omniroute.catalog import Catalog, Provider
from omniroute.config.problems import suggestion
from omniroute.config.spec import Spec
from omniroute.document import quoted
from omniroute.routing.patterns import compile_pattern

if TYPE_CHECKING:
    pass


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
        provider, slash, model = name.partition("/")
        full = self.provider(provider) if slash else None
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


def can_match(names: Names, spec: Spec, pattern: str) -> bool:
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
