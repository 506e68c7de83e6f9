"""What an editor offers to insert: whole entries of a section, with places to fill in.

Only `config/schema.json` has them, as `defaultSnippets` (an extension that yaml-language-server and VS Code read), for
they are no rules. Tests hold every one, filled in as it stands, to make a configuration without findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec

from omniroute.catalog import Catalog, Provider
from omniroute.config.spec.words import ProviderType

Body = Mapping[str, Any]
_named = re.compile(r"\{([a-z_]+)\}")


class Snippet(msgspec.Struct, frozen=True):
    r"""An entry of a section. In `body`, as editors have it, `${1:text}` is a place, `\$` a dollar, and a text that begins
    with `^` goes without it, and without quotes."""

    label: str
    description: str
    body: Body


COMBOS = (
    Snippet(
        "fallback",
        "One model, and others for when it fails.",
        {
            "${1:assistant}": {
                "strategy": "priority",
                "targets": ["${2:openai/gpt-5-mini}", "${3:anthropic/claude-sonnet-4-5}"],
            }
        },
    ),
    Snippet(
        "shares",
        "Requests divided by weight: a new model tried with a few of them.",
        {
            "${1:assistant}": {
                "strategy": "weighted",
                "targets": [
                    {"model": "${2:openai/gpt-5-mini}", "weight": "${3:9}"},
                    {"model": "${4:openai/gpt-5}", "weight": "${5:1}"},
                ],
            }
        },
    ),
)
KEYS = (
    Snippet(
        "key",
        "A caller: `omniroute key new` makes a key, and its digest for here.",
        {"${1:team}": {"digest": "${2:sha256:" + "0" * 64 + "}", "allow": ["${3:openai/*}"]}},
    ),
)
LIMITS = (
    Snippet("requests", "So many requests in a time.", {"${1:calm}": {"requests": "${2:60/1m}"}}),
    Snippet("tokens", "So many tokens in a time.", {"${1:calm}": {"tokens": "${2:100000/1m}"}}),
)
BUDGETS = (
    Snippet(
        "budget",
        "USD in a period.",
        {"${1:team}": {"limit": "${2:50}", "period": "${3|monthly,weekly,daily,hourly,total|}"}},
    ),
)
POLICIES = (
    Snippet(
        "deny models",
        "Models that may not serve, and why.",
        {"${1:residency}": {"rules": [{"deny_models": {"patterns": ["${2:openai/*}"], "reason": "${3:stays here}"}}]}},
    ),
    Snippet(
        "shorten answers",
        "How much may be produced.",
        {"${1:short}": {"rules": [{"max_tokens": {"output": "${2:4096}"}}]}},
    ),
)
SCENARIOS = (
    Snippet(
        "scenario",
        "A request, and who is to serve it: run by `omniroute test`.",
        {"${1:asked}": {"given": {"model": "${2:openai/gpt-5-mini}"}, "expect": {"target": "${3:openai/gpt-5-mini}"}}},
    ),
)


def sections(catalog: Catalog) -> dict[str, tuple[Snippet, ...]]:
    """The snippets of each section that has some."""
    return {
        "providers": (*_providers(catalog), _node()),
        "combos": COMBOS,
        "keys": KEYS,
        "limits": LIMITS,
        "budgets": BUDGETS,
        "policies": POLICIES,
        "scenarios": SCENARIOS,
    }


def _providers(catalog: Catalog) -> Iterator[Snippet]:
    for provider in catalog.providers.values():
        body = _provider(provider) or "^{}"
        yield Snippet(provider.id, f"{provider.title}, as the catalogue knows it.", {provider.id: body})


def _provider(provider: Provider) -> Body:
    """What has to be said of one of the catalogue: what its address names, and where its key is."""
    addresses = " ".join((provider.base_url, *provider.formats.values()))
    body: dict[str, Any] = {}
    if variables := dict.fromkeys(_named.findall(addresses)):
        body["variables"] = {name: f"${{{place}:{name}}}" for place, name in enumerate(variables, 1)}
    if provider.oauth is not None:
        body["connections"] = {"main": {"oauth": {"client_id": r"\${env:CLIENT_ID}"}}}
    elif provider.key_required and provider.env:
        body["connections"] = {"main": {"api_key": rf"\${{env:{provider.env}}}"}}
    return body


def _node() -> Snippet:
    kinds = ",".join(kind for kind in get_args(ProviderType) if kind != "demo")
    return Snippet(
        "node of your own",
        "A server that speaks a format the gateway knows.",
        {"${1:workstation}": {"type": f"${{2|{kinds}|}}", "base_url": "${3:http://10.0.0.7:8000/v1}"}},
    )
