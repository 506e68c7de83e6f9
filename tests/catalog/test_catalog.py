"""The shipped facts: complete, consistent, decoded without a digit lost."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from string import Formatter

import msgspec
import pytest

from omniroute import catalog
from omniroute.catalog import Catalog, Price
from omniroute.catalog.price import Rates, Tier

HERE = Path(catalog.__file__).parent
CATALOG = catalog.load()
MODELS = [(provider, model) for provider in sorted(CATALOG.listed) for model in CATALOG.models(provider).values()]

COUNTS = {
    "anthropic": 22,
    "assemblyai": 5,
    "cerebras": 9,
    "cohere": 13,
    "deepgram": 42,
    "deepseek": 10,
    "demo": 4,
    "elevenlabs": 3,
    "fireworks": 340,
    "gemini": 56,
    "groq": 9,
    "hyperbolic": 16,
    "minimax": 6,
    "mistral": 67,
    "moonshot": 12,
    "nebius": 62,
    "openai": 182,
    "perplexity": 88,
    "sambanova": 8,
    "together": 92,
    "voyage": 23,
    "xai": 53,
    "zai": 17,
}

FACTS = {
    "kind": {"chat": 819, "embedding": 61, "image": 85, "responses": 95, "transcription": 79},
    "field": {"context": 918, "max_output": 849, "dimensions": 23, "deprecated": 242, "capabilities": 671},
    "price": {
        "input": 999,
        "output": 987,
        "cache_read": 420,
        "cache_write": 59,
        "cache_write_1h": 24,
        "reasoning": 18,
        "tiers": 56,
        "per_image": 75,
        "per_pixel": 9,
        "per_second": 75,
        "audio_input": 5,
    },
}

PRICES = (*Rates.__struct_fields__, "per_image", "per_pixel", "per_second")

WITHOUT_A_ROW = {"elevenlabs"}
"""Providers whose models are known and whose address is not: what they offer is not served yet."""

PROVIDERS = [
    "openai",
    "anthropic",
    "gemini",
    "ollama",
    "mistral",
    "together",
    "fireworks",
    "nvidia",
    "nebius",
    "xai",
    "groq",
    "deepseek",
    "openrouter",
    "cerebras",
    "cohere",
    "perplexity",
    "sambanova",
    "hyperbolic",
    "deepinfra",
    "novita",
    "moonshot",
    "zai",
    "minimax",
    "dashscope",
    "github-models",
    "huggingface",
    "voyage",
    "codex",
    "qwen",
    "github",
    "azure",
    "bedrock",
    "deepgram",
    "assemblyai",
    "vllm",
    "lmstudio",
    "llamacpp",
    "demo",
]

FREE = {
    "cohere/command-a-plus-05-2026",
    "demo/agent",
    "demo/echo",
    "demo/embed",
    "fireworks/accounts/fireworks/models/fireworks-asr-large",
    "fireworks/accounts/fireworks/models/fireworks-asr-v2",
    "fireworks/accounts/fireworks/models/qwen3-embedding-0p6b",
    "fireworks/accounts/fireworks/models/qwen3-embedding-4b",
    "gemini/gemini-2.0-flash-exp-image-generation",
    "gemini/gemini-exp-1114",
    "gemini/gemini-exp-1206",
    "gemini/gemma-3-27b-it",
    "gemini/gemma-4-26b-a4b-it",
    "gemini/gemma-4-31b-it",
    "gemini/learnlm-1.5-pro-experimental",
    "gemini/lyria-3-clip-preview",
    "gemini/lyria-3-pro-preview",
    "gemini/lyria-3.5",
    "gemini/lyria-3.5-clip-preview",
    "gemini/lyria-3.5-pro-preview",
    "gemini/lyria-realtime-exp",
    "mistral/labs-leanstral-1-5",
    "mistral/labs-leanstral-1-5-1",
    "together/Prism-ML/Ternary-Bonsai-27B",
    "zai/glm-4.5-flash",
    "zai/glm-4.7-flash",
}
"""Models whose tokens are known to cost nothing. One more has to be added here on purpose: a price of 0 that only
meant `unknown` would let a budget run dry unseen."""

CAPABILITIES = {"audio_in", "json_schema", "pdf", "prompt_cache", "reasoning", "tools", "vision", "web_search"}


def test_every_provider_has_its_row() -> None:
    assert sorted(CATALOG.providers) == sorted(PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_is_somewhere_and_speaks_something(name: str) -> None:
    provider = CATALOG.providers[name]
    assert provider.id == name
    assert provider.title
    assert provider.formats or provider.operations
    assert set(provider.formats) <= {"openai_chat", "openai_responses", "anthropic", "gemini", "ollama"}
    for url in (provider.base_url, *provider.formats.values()):
        assert re.fullmatch(r"https?://[^\s/]+(/[^\s?#]*[^\s?#/])?", url), url
        assert {field for _, field, _, _ in Formatter().parse(url) if field} <= {"resource", "region"}
        assert url.startswith("https://") or "127.0.0.1" in url or provider.type == "demo"
    assert provider.env is None or re.fullmatch(r"[A-Z][A-Z0-9_]+", provider.env)
    assert provider.env or provider.oauth or not provider.key_required


SIGNED_IN = {"anthropic": "code", "gemini": "code", "codex": "code", "qwen": "device", "github": "device"}


def test_where_one_signs_in_is_told_in_full_and_over_tls() -> None:
    rows = {name: row.oauth for name, row in CATALOG.providers.items() if row.oauth is not None}
    assert set(rows) == set(SIGNED_IN)
    for name, oauth in rows.items():
        assert (oauth.authorization_endpoint is not None) == (SIGNED_IN[name] == "code")
        assert (oauth.device_authorization_endpoint is not None) == (SIGNED_IN[name] == "device")
        exchange = None if oauth.exchange is None else oauth.exchange.endpoint
        places = (
            oauth.token_endpoint,
            oauth.authorization_endpoint,
            oauth.device_authorization_endpoint,
            oauth.revocation_endpoint,
            exchange,
        )
        assert all(place is None or re.fullmatch(r"https://[a-z0-9.]+/[^?#]*[^?#/]", place) for place in places)
        assert oauth.scopes
        assert oauth.redirect_uri.startswith(("https://", "http://localhost:"))


def test_no_application_of_others_stands_in_the_catalogue() -> None:
    text = (HERE / "providers.yaml").read_text()
    assert not re.search(r"client_?id:|client_?secret:|app_[A-Za-z0-9]{8}|Iv1\.|apps\.googleusercontent", text)


def test_quirks_are_quirks_of_the_patcher() -> None:
    from omniroute.formats.patch import Quirks

    for provider in CATALOG.providers.values():
        msgspec.convert(dict(provider.quirks), Quirks, strict=True)
        assert set(provider.quirks) <= set(Quirks.__struct_fields__)


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("openai", {"openai_responses": "https://api.openai.com/v1", "openai_chat": "https://api.openai.com/v1"}),
        (
            "deepseek",
            {"openai_chat": "https://api.deepseek.com", "anthropic": "https://api.deepseek.com/anthropic/v1"},
        ),
        (
            "zai",
            {"openai_chat": "https://api.z.ai/api/paas/v4", "anthropic": "https://api.z.ai/api/anthropic/v1"},
        ),
        (
            "gemini",
            {
                "gemini": "https://generativelanguage.googleapis.com/v1beta",
                "openai_chat": "https://generativelanguage.googleapis.com/v1beta/openai",
            },
        ),
        ("ollama", {"ollama": "http://127.0.0.1:11434", "openai_chat": "http://127.0.0.1:11434/v1"}),
        ("voyage", {}),
    ],
)
def test_formats_stand_in_order_with_their_urls(provider: str, expected: dict[str, str]) -> None:
    assert list(CATALOG.providers[provider].formats.items()) == list(expected.items())


def test_anthropic_wants_its_version_and_its_own_key_header() -> None:
    anthropic = CATALOG.providers["anthropic"]
    assert anthropic.auth == "x-api-key"
    assert anthropic.headers == {"anthropic-version": "2023-06-01"}


def test_short_names_lead_to_providers() -> None:
    assert CATALOG.provider_aliases == {
        "cc": "anthropic",
        "claude": "anthropic",
        "cx": "codex",
        "gc": "gemini",
        "gemini-cli": "gemini",
        "gh": "github",
        "ol": "ollama",
        "qw": "qwen",
    }
    assert set(CATALOG.provider_aliases.values()) <= set(CATALOG.providers)
    assert not set(CATALOG.provider_aliases) & set(CATALOG.providers)


def test_all_models_are_there() -> None:
    assert {provider: len(CATALOG.models(provider)) for provider in sorted(CATALOG.listed)} == COUNTS
    assert sum(COUNTS.values()) == 1139


def test_all_facts_are_there() -> None:
    kinds = {kind: sum(model.kind == kind for _, model in MODELS) for kind in FACTS["kind"]}
    fields = {field: sum(bool(getattr(model, field)) for _, model in MODELS) for field in FACTS["field"]}
    priced = [model.price for _, model in MODELS if model.price is not None]
    prices = {field: sum(getattr(price, field) not in (None, ()) for price in priced) for field in FACTS["price"]}
    assert {"kind": kinds, "field": fields, "price": prices} == FACTS


def test_models_belong_to_known_providers() -> None:
    assert CATALOG.listed - set(CATALOG.providers) == WITHOUT_A_ROW


def test_rows_are_sorted_and_unique() -> None:
    text = (HERE / "models.json").read_text("utf-8")
    blocks = re.findall(r'^ "([^"]+)": \[\n(.*?)^ \]', text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == sorted(COUNTS)
    for name, block in blocks:
        ids = re.findall(r'^  \{"id": "([^"]+)", .*\},?$', block, re.MULTILINE)
        assert len(ids) == COUNTS[name] == block.count("\n"), "one model a line"
        assert ids == sorted(set(ids))


def test_every_model_makes_sense() -> None:
    for provider, model in MODELS:
        name = f"{provider}/{model.id}"
        assert model.id == model.id.strip(), name
        assert model.context is None or 512 <= model.context <= 2_100_000, name
        assert model.max_output is None or 1 <= model.max_output <= 1_100_000, name
        assert model.dimensions is None or model.kind == "embedding", name
        assert model.capabilities <= CAPABILITIES, name
        if model.deprecated is not None:
            assert date(2023, 1, 1) <= date.fromisoformat(model.deprecated) <= date(2030, 1, 1), name


def test_prices_are_positive_or_known_to_be_nothing() -> None:
    free = set()
    for provider, model in MODELS:
        name, price = f"{provider}/{model.id}", model.price
        if price is None:
            continue
        values = {field: value for field in PRICES if (value := getattr(price, field)) is not None}
        assert values, name
        for field, value in values.items():
            assert value.is_finite(), f"{name} {field}"
            assert 0 <= value <= 1000, f"{name} {field}"
        if price.input == price.output == 0:
            free.add(name)
    assert free == FREE


def test_long_prompts_cost_more_from_bounds_that_rise() -> None:
    for provider, model in MODELS:
        if model.price is None:
            continue
        lower: Tier | Price = model.price
        bound = 0
        for tier in model.price.tiers:
            assert tier.above > bound, f"{provider}/{model.id}"
            assert lower.input < tier.input <= 2 * lower.input, f"{provider}/{model.id}"
            assert lower.output < tier.output <= 2 * lower.output, f"{provider}/{model.id}"
            lower, bound = tier, tier.above


def test_prices_keep_every_digit() -> None:
    tier = CATALOG.model("openai", "high/1024-x-1024/gpt-image-1")
    assert tier is not None
    assert tier.price is not None
    assert tier.price.per_pixel == Decimal("0.000000159263611")
    haiku = CATALOG.model("anthropic", "claude-haiku-4-5")
    assert haiku is not None
    assert haiku.price == Price(
        input=Decimal(1),
        output=Decimal(5),
        cache_read=Decimal("0.1"),
        cache_write=Decimal("1.25"),
        cache_write_1h=Decimal(2),
    )


def test_what_is_not_known_is_absent() -> None:
    assert CATALOG.models("openrouter") == {}
    assert CATALOG.models("nobody") == {}
    assert CATALOG.model("openai", "gpt-0") is None
    unpriced = CATALOG.model("fireworks", "accounts/fireworks/routers/auto")
    assert unpriced is not None
    assert unpriced.price is None


def test_the_catalogue_is_loaded_once_and_cannot_be_changed() -> None:
    assert catalog.load() is CATALOG
    assert CATALOG.models("openai") is CATALOG.models("openai")
    with pytest.raises(TypeError):
        CATALOG.providers["new"] = CATALOG.providers["openai"]  # type: ignore[index] - that is the point
    with pytest.raises(AttributeError):
        CATALOG.providers["openai"].base_url = "https://elsewhere"  # type: ignore[misc] - that is the point


@pytest.mark.parametrize(
    "row",
    [
        {"title": "X", "base_url": "https://x", "colour": "red"},
        {"title": "X", "base_url": "https://x", "auth": "basic"},
        {"title": "X", "base_url": "https://x", "operations": {"dance": "openai"}},
        {"base_url": "https://x"},
        {"title": "X", "base_url": "https://x", "key_required": "no"},
    ],
)
def test_a_row_that_is_not_as_it_should_be_is_refused(row: dict[str, object]) -> None:
    facts = {"updated": "2026-01-01", "aliases": {}, "providers": {"x": row}}
    with pytest.raises(msgspec.ValidationError):
        Catalog(facts, b'{"updated": "2026-01-01", "models": {}}')


@pytest.mark.parametrize(
    "row",
    [
        b'{"id": "m"}',
        b'{"id": "m", "kind": "poem"}',
        b'{"id": "m", "kind": "chat", "price": {"inputs": 1}}',
        b'{"id": "m", "kind": "chat", "context": "8k"}',
    ],
)
def test_a_model_that_is_not_as_it_should_be_is_refused(row: bytes) -> None:
    facts = {"updated": "2026-01-01", "aliases": {}, "providers": {}}
    known = Catalog(facts, b'{"updated": "2026-01-01", "models": {"x": [' + row + b"]}}")
    with pytest.raises(msgspec.ValidationError):
        known.models("x")
