"""What an editor makes of `config/schema.json`: the real yaml-language-server completes, explains and checks with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.gateway import ROOT
from support.language_server import LanguageServer
from support.packages import installed

from omniroute import catalog
from omniroute.config import bundle, snippets

FILES = sorted(
    [
        ROOT / "config" / "omniroute.yaml",
        *ROOT.glob("policies/*.yaml"),
        *ROOT.glob("examples/*/omniroute.yaml"),
        *ROOT.glob("examples/*/policies.yaml"),
        *ROOT.glob("examples/*/policies/*.yaml"),
        *ROOT.glob("examples/*/scenarios.yaml"),
        *ROOT.glob("examples/*/evals.yaml"),
    ]
)
SECTIONS = snippets.sections(catalog.load())
MODELS = """\
providers:
  openai: {connections: {main: {api_key: "${env:KEY}"}}}
  anthropic: {connections: {main: {api_key: "${env:KEY}"}}}
"""
Items = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    packages = installed(Path(__file__).parent, "yaml-language-server")
    server = LanguageServer(packages, (ROOT / "config" / "schema.json").as_uri())
    yield server
    server.close()


@pytest.fixture
def at(server: LanguageServer, tmp_path: Path) -> Callable[[str, str], Any]:
    """Asks about the place of a document where `|` stands."""

    def ask(method: str, text: str) -> Any:
        uri = (tmp_path / f"{abs(hash(text))}.yaml").as_uri()
        before = text[: text.index("|")]
        server.opened(uri, text.replace("|", "", 1))
        position = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        return server.ask(f"textDocument/{method}", {"textDocument": {"uri": uri}, "position": position})

    return ask


@pytest.fixture
def completed(at: Callable[[str, str], Any]) -> Callable[[str], Items]:
    return lambda text: {item["label"]: item for item in at("completion", text)["items"]}


def told(item: dict[str, Any]) -> str:
    said = item.get("documentation") or ""
    return said if isinstance(said, str) else said["value"]


def filled(snippet: str) -> str:
    """A snippet as it is where nothing is changed in its places, and the first of its choices is taken."""
    chosen = re.sub(r"(?<!\\)\$\{\d+\|([^,|]*)[^|]*\|\}", r"\1", snippet)
    return re.sub(r"(?<!\\)\$\{\d+:([^}]*)\}", r"\1", chosen).replace("\\$", "$")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_without_findings_have_none_in_an_editor(server: LanguageServer, file: Path):
    assert server.opened(file.as_uri(), file.read_text()) == []


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("version: 1\n|", {"providers", "aliases", "combos", "keys", "budgets", "policies", "settings", "scenarios"}),
        ("version: 1\nproviders:\n  openai:\n    |", {"connections", "models", "timeouts", "quirks", "headers"}),
        ("version: 1\nproviders:\n  openai:\n    connections:\n      main:\n        |", {"api_key", "weight"}),
        ("version: 1\ncombos:\n  a:\n    |", {"strategy", "targets", "retry", "hedge", "sticky"}),
        ("version: 1\npolicies:\n  a:\n    rules:\n      - |", {"deny_models", "redact", "max_tokens", "limit"}),
        ("version: 1\nbudgets:\n  a:\n    |", {"limit", "period", "warn_at", "on_exhausted"}),
        ("version: 1\nserver:\n  |", {"host", "port", "data_dir"}),
    ],
)
def test_keys_are_offered_with_what_they_are_for(completed: Callable[[str], Items], text: str, keys: set[str]):
    items = completed(text)
    assert keys <= items.keys()
    assert all(told(items[key]).strip() for key in keys)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("version: 1\nmode: |\n", {"local", "locked", "git"}),
        ("version: 1\ncombos:\n  a:\n    strategy: |\n", {"priority", "weighted", "cost-optimized", "latency"}),
        ("version: 1\nkeys:\n  a:\n    roles: [|]\n", {"client", "admin.read", "admin.write"}),
        ("version: 1\nbudgets:\n  a:\n    period: |\n", {"hourly", "daily", "weekly", "monthly", "total"}),
        ("version: 1\nproviders:\n  a:\n    type: |\n", {"openai-compatible", "anthropic-compatible"}),
    ],
)
def test_values_are_offered_where_only_some_are_possible(
    completed: Callable[[str], Items], text: str, values: set[str]
):
    assert values <= completed(text).keys()


def test_a_word_is_explained_where_the_pointer_is(at: Callable[[str, str], Any]):
    shown = at("hover", "version: 1\ncombos:\n  a:\n    stra|tegy: priority\n    targets: [demo/echo]\n")
    assert "In which order the targets are tried" in shown["contents"]["value"]
    assert "`cost-optimized`" in shown["contents"]["value"]


@pytest.mark.parametrize(
    ("text", "finding", "line"),
    [
        ("version: 1\nprovidres: {}\n", "Property providres is not allowed.", 1),
        ("version: 1\ncombos:\n  a: {strategy: fastest, targets: [demo/echo]}\n", "Value is not accepted.", 2),
        ("version: 1\nserver: {port: http}\n", 'Incorrect type. Expected "integer".', 1),
        ("version: 1\nserver: {drain_timeout: soon}\n", "must be ", 1),
    ],
)
def test_what_is_wrong_is_marked_at_its_line(
    server: LanguageServer, tmp_path: Path, text: str, finding: str, line: int
):
    (found,) = server.opened((tmp_path / "wrong.yaml").as_uri(), text)
    assert finding in found["message"]
    assert found["range"]["start"]["line"] == line


@pytest.mark.parametrize("section", SECTIONS)
def test_every_entry_that_is_offered_has_no_findings(completed: Callable[[str], Items], section: str, tmp_path: Path):
    items = completed(f"version: 1\n{section}:\n  |\n")
    for snippet in SECTIONS[section]:
        item = items[snippet.label]
        assert told(item) == snippet.description
        entry = "\n".join(f"  {line}" for line in filled(item["insertText"]).splitlines())
        file = tmp_path / "omniroute.yaml"
        file.write_text(f"version: 1\n{'' if section == 'providers' else MODELS}{section}:\n{entry}\n")
        found = {problem.code for problem in bundle.read(file, catalog.load()).warnings}
        assert found <= {"OR421"}, snippet.label  # limits and budgets hold for nobody until somebody names them
