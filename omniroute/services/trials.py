"""Tries a credential or an address before it is put into the configuration: nothing of either is kept anywhere.

An address that is given here is trusted as one of the file is, for whoever may ask this may write that. It is held to
the same form: http or https, without a user, a query or a fragment; redirects are followed by none of our clients. What
the file says of a provider's headers stays with the addresses that the file or the catalogue names, since there may be
secrets among them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import msgspec

from omniroute.catalog import Catalog
from omniroute.config.bundle import Bundle
from omniroute.config.compile import OWN_NODES, compile_trial
from omniroute.config.lint.providers import why_unusable
from omniroute.config.spec.providers import ProviderSpec
from omniroute.config.spec.words import is_address
from omniroute.errors import BadRequest, NotFound, Unprocessable, UpstreamError
from omniroute.formats.model_lists import Found
from omniroute.routing.tables import Upstream
from omniroute.services import verdict
from omniroute.services.models import Models
from omniroute.services.probes import Probes
from omniroute.services.verdict import Diagnosis, Verdict
from omniroute.state.base import Clock

NAME = "new node"
"""What messages call it. No provider of a file can have this name."""
_key = re.compile(r"[!-~]{1,8192}")


class Node(msgspec.Struct, frozen=True):
    """What is at an address: the type of node that it answers as, its format and its models."""

    verdict: Verdict
    type: str = ""
    format: str = ""
    models: tuple[Found, ...] = ()


class Trials:
    """Builds upstreams that stand in no file, and calls them."""

    def __init__(
        self, bundle: Callable[[], Bundle], catalog: Catalog, probes: Probes, models: Models, clock: Clock
    ) -> None:
        self._bundle = bundle
        self._catalog = catalog
        self._probes = probes
        self._models = models
        self._clock = clock

    async def credential(self, provider: str, key: str, base_url: str = "", model: str = "") -> Verdict:
        """Whether a provider of the catalogue or of the file takes this key. Raises NotFound for another provider,
        BadRequest for a key or an address of the wrong form."""
        name = self._catalog.provider_aliases.get(provider, provider)
        spec = self._spec(name, base_url)
        row = self._catalog.providers.get(name if spec.type is None else spec.type)
        if not key and row is not None and row.key_required:
            return verdict.without_call("auth_missing", f"`{name}` needs a key", self._clock.now())
        upstream = await self._upstream(name, spec, key)
        (connection,) = upstream.connections
        return await self._probes.verdict(upstream, connection, model)

    async def node(self, base_url: str, key: str = "", type_: str = "", model: str = "") -> Node:
        """What answers at an address: its models are asked for in the words of the type, or of each type until one gets an
        answer. With a `model`, that is called too."""
        if type_ and type_ not in OWN_NODES:
            raise BadRequest(f"A node is one of {', '.join(OWN_NODES)}.", code="unknown_type", param="type")
        _check_address(base_url)
        node: Node | None = None
        for each in (type_,) if type_ else OWN_NODES:
            upstream = await self._upstream(NAME, ProviderSpec(type=each, base_url=base_url), key)  # type: ignore[arg-type]  # of the dict's keys
            tried = await self._node(each, upstream, model)
            node = node if node is not None and not tried.verdict.valid else tried
            if tried.verdict.valid or tried.verdict.diagnosis.type == "network_error":
                break
        assert node is not None
        return node

    async def _node(self, type_: str, upstream: Upstream, model: str) -> Node:
        (connection,) = upstream.connections
        form = next(iter(upstream.endpoints))
        began = self._clock.monotonic()
        found: tuple[Found, ...] = ()
        try:
            found = tuple(await self._models.asked(upstream, connection))
        except UpstreamError as error:
            if not model:
                said = verdict.of_error(error, self._clock.now(), self._clock.monotonic() - began, "models")
                return Node(said, type_, form)
        if model:
            return Node(await self._probes.verdict(upstream, connection, model), type_, form, found)
        took = self._clock.monotonic() - began
        fine = Diagnosis("ok", "upstream", code="success")
        said = Verdict(valid=True, diagnosis=fine, at=self._clock.now(), latency=took, status=200, method="models")
        return Node(said, type_, form, found)

    def _spec(self, name: str, base_url: str) -> ProviderSpec:
        """What is tried: the provider of the file, or of the catalogue, or the latter's form at another address."""
        if base_url:
            _check_address(base_url)
        configured = self._bundle().spec.providers.get(name)
        if configured is not None and not base_url:
            return configured
        kind = configured.type if configured is not None else None
        if kind is None and name not in self._catalog.providers:
            raise NotFound(f"There is no provider `{name[:80]}`, here or in the catalogue.", code="provider_not_found")
        variables = configured.variables if configured is not None else {}
        return ProviderSpec(type=kind, base_url=base_url or None, variables=variables)

    async def _upstream(self, name: str, spec: ProviderSpec, key: str) -> Upstream:
        if key and _key.fullmatch(key) is None:
            raise BadRequest("A key is one line of printable ASCII.", code="invalid_key", param="apiKey")
        try:
            return await asyncio.to_thread(compile_trial, self._bundle(), self._catalog, name, spec, key or None)
        except KeyError as missing:
            told = f"The address of `{name}` has a part {{{missing.args[0]}}}: configure it under `variables`, or send `baseUrl`."
            raise Unprocessable(told, code="variable_missing", param="baseUrl") from None


def _check_address(text: str) -> None:
    """Raises BadRequest for what is no address of a provider."""
    if not is_address(text):
        told = "`baseUrl` must be an http or https address without user, query and fragment."
        raise BadRequest(told, code="invalid_base_url", param="baseUrl")
    reason = why_unusable(text)
    if reason:
        raise BadRequest(f"`baseUrl` cannot be used: {reason}.", code="invalid_base_url", param="baseUrl")
