"""The reference configuration: what a fresh clone starts with, and the tour of the language."""

import re
from pathlib import Path

import msgspec
import pytest

from omniroute import catalog
from omniroute.config import bundle, secrets
from omniroute.config.spec import Spec
from omniroute.config.spec.providers import ConnectionSpec, ModelSpec, ProviderSpec, QuirksSpec
from omniroute.config.spec.server import AuthSpec, ServerSpec
from omniroute.config.spec.settings import IpFilterSpec, ProxiesSpec, ProxySpec, SettingsSpec

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "config" / "omniroute.yaml"


def in_full():
    """The reference with its commented-out settings switched on. They begin with a lower-case letter, a quote or a
    dash; prose does not."""
    head, rest = REFERENCE.read_text().split("version: 1\n", 1)
    rest = re.sub(r'(?m)^( +)# (?=[ ]*[a-z"\-])', r"\1", rest)
    rest = re.sub(r"(?m)^#(?=  +[a-z])", "", rest)
    return re.sub(r"(?m)^(keys|limits|budgets|pricing): \{\}$", r"\1:", f"{head}version: 1\n{rest}")


def write_in_full(folder):
    (folder / "config").mkdir()
    (folder / "policies").mkdir()
    for policy in (ROOT / "policies").glob("*.yaml"):
        (folder / "policies" / policy.name).write_text(policy.read_text())
    file = folder / "config" / "omniroute.yaml"
    file.write_text(in_full())
    return file


def test_the_reference_needs_nothing_from_the_environment(monkeypatch):
    monkeypatch.setattr(secrets.os, "environ", {})
    read = bundle.read(REFERENCE, catalog.load())
    assert read.warnings == ()
    assert secrets.missing(read) == []
    from omniroute.config.compile import compile_gateway

    gateway = compile_gateway(read, catalog.load())
    assert {"demo/echo", "demo/agent", "fast", "coding"} <= set(gateway.routes)


def test_the_reference_listens_on_loopback_where_the_readme_says():
    server = bundle.read(REFERENCE, catalog.load()).spec.server
    assert (server.host, server.port) == ("127.0.0.1", 20128)


def test_the_commented_settings_are_a_sound_configuration_too(tmp_path):
    read = bundle.read(write_in_full(tmp_path), catalog.load())
    assert read.warnings == ()
    assert {"openai", "anthropic", "azure", "lab", "demo"} == set(read.spec.providers)
    from omniroute.config.compile import compile_gateway

    compile_gateway(read, catalog.load(), resolve=False)


@pytest.mark.parametrize(
    "struct",
    [
        ServerSpec,
        AuthSpec,
        ProviderSpec,
        ConnectionSpec,
        ModelSpec,
        QuirksSpec,
        SettingsSpec,
        IpFilterSpec,
        ProxiesSpec,
        ProxySpec,
    ],
)
def test_the_reference_shows_every_setting(struct):
    fields = {field.encode_name for field in msgspec.structs.fields(struct)}
    shown = set(re.findall(r"([a-z_]+):", in_full()))
    assert fields - shown <= {"formats", "headers", "weight"}


def test_the_reference_shows_every_section():
    assert {field.name for field in msgspec.structs.fields(Spec)} <= set(re.findall(r"(?m)^([a-z_]+):", in_full())) | {
        "policies"
    }
