"""Other gateways' files in our language: each source beside what is made of it and the report of it."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from omniroute import catalog, cli
from omniroute.config import importing
from omniroute.config.compile import compile_gateway
from omniroute.config.order import declared
from omniroute.document import Document, laid_out
from omniroute.errors import ConfigError

HERE = Path(__file__).parent / "imports"
SOURCES = sorted(path.relative_to(HERE) for path in HERE.glob("*/*") if path.suffix in (".yaml", ".json"))
SECRETS = (
    "sk-proj-0123",
    "sk-or-v1-0123",
    "sk-live-",
    "lab-key-0123",
    "at-0123",
    "rt-0123",
    "secret-word",
    "a-secret-of",
)


def made(source: Path) -> tuple[str, str]:
    """The text and the report of a source, as the goldens hold them."""
    result = importing.convert(source, catalog.load())
    lines = [f"{each.fate} {each.line}:{each.col} {each.path}: {each.about}" for each in result.findings]
    lines += [f"{each.severity} {each.code} {each.path}" for each in result.problems]
    return result.text, "".join(f"{line}\n" for line in lines)


def goldens(source: Path) -> tuple[Path, Path]:
    folder = HERE / source.parent / "made"
    return folder / f"{source.stem}.yaml", folder / f"{source.stem}.report"


@pytest.fixture(autouse=True)
def among_the_sources(monkeypatch):
    monkeypatch.chdir(HERE)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_file_becomes_what_stands_beside_it(source):
    """The goldens are made anew by `python tests/config/test_importing.py`, and then read in the diff."""
    assert made(source) == tuple(golden.read_text() for golden in goldens(source))


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_what_is_made_is_sound_laid_out_and_compiles(source, tmp_path):
    result = importing.convert(source, catalog.load())
    assert not [problem for problem in result.problems if problem.severity == "error"]
    document = Document.parse(result.text, "file")
    assert laid_out(document, declared()).text == result.text
    file = tmp_path / "omniroute.yaml"
    file.write_text(result.text)
    from omniroute.config import bundle

    assert compile_gateway(bundle.read(file, catalog.load()), catalog.load(), resolve=False)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_value_of_the_source_is_accounted_for(source):
    result = importing.convert(source, catalog.load())
    told = [each.path for each in result.findings]

    def leaves(value, path):
        if isinstance(value, dict) and value:
            for key, each in value.items():
                yield from leaves(each, f"{path}.{key}" if path else key)
        elif isinstance(value, list) and value:
            for index, each in enumerate(value):
                yield from leaves(each, f"{path}[{index}]")
        elif value not in ("", None, [], {}):
            yield path

    data = Document.parse(source.read_bytes(), "source").data
    for leaf in leaves(data, ""):
        assert any(
            leaf == path or leaf.startswith((f"{path}.", f"{path}[")) or path.startswith(leaf) for path in told
        ), leaf


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_no_literal_key_of_a_source_is_written_or_told(source):
    for text in made(source):
        assert not [secret for secret in SECRETS if secret in text]


def test_an_archive_of_exports_is_read_file_by_file(tmp_path):
    data = json.loads((HERE / "omniroute" / "db.json").read_text())
    files = {
        "providers.json": {"connections": data["providerConnections"], "nodes": data["providerNodes"]},
        "combos.json": data["combos"],
        "api-keys.json": {"keys": data["apiKeys"]},
        "settings.json": data["settings"],
        "metadata.json": {"appVersion": "2.0"},
    }
    archive = tmp_path / "export.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in files.items():
            packed = json.dumps(content, indent=1).encode()
            entry = tarfile.TarInfo(f"export/{name}")
            entry.size = len(packed)
            tar.addfile(entry, io.BytesIO(packed))
    result = importing.convert(archive, catalog.load())
    assert result.format == "omniroute"
    read = Document.parse(result.text, "made").data
    assert {*read["providers"]} == {"openai", "lab", "anthropic"}
    assert {*read["combos"]} == {"coding", "team-any"}
    assert {*read["keys"]} == {"team-a"}
    assert read["auth"]["require_api_key"] is True
    lost = [each for each in result.findings if each.file.endswith("metadata.json")]
    assert [each.fate for each in lost] == ["dropped"]
    assert not [problem for problem in result.problems if problem.severity == "error"]


@pytest.mark.parametrize("content", ["{a: 1}", "{}", '{"model_list": [], "Router": {}, "Providers": []}'])
def test_a_file_of_no_known_format_is_refused(content, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match="no format that can be told for sure"):
        importing.convert(file, catalog.load())


@pytest.mark.parametrize("form", importing.FORMATS)
@pytest.mark.parametrize(
    "content", ["{}", "{model_list: 1, Router: x, Providers: {a: b}, combos: [1, {models: [{}]}], settings: []}"]
)
def test_odd_files_are_no_crash(form, content, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(content)
    assert importing.convert(file, catalog.load(), form=form).text.startswith("# Made by")


def test_the_command_writes_a_file_once_and_reports(tmp_path, capsys):
    arguments = ["import", "litellm/balanced.yaml", "--out", str(tmp_path / "new")]
    assert cli.main(arguments) == 0
    told = capsys.readouterr()
    assert "carried over" in told.err
    assert "set OPENAI_API_KEY: " in told.err
    assert (tmp_path / "new" / "omniroute.yaml").read_text() == goldens(Path("litellm/balanced.yaml"))[0].read_text()
    assert cli.main(arguments) == 1
    assert "it is there already" in capsys.readouterr().err


def test_the_report_is_to_be_had_as_json(capsys):
    assert cli.main(["import", "claude-code-router/routes.json", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["format"] == "claude-code-router"
    assert {each["fate"] for each in told["findings"]} == {"mapped", "lossy", "dropped"}
    assert told["variables"] == {"OPENROUTER_API_KEY": "the key of openrouter that stands in the source"}


def test_the_command_knows_the_formats_that_there_are():
    from omniroute.cli.importing import FORMATS

    assert set(FORMATS) == set(importing.FORMATS)


if __name__ == "__main__":
    import os

    os.chdir(HERE)
    for each in SOURCES:
        for golden, text in zip(goldens(each), made(each), strict=True):
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(text)
    sys.exit(0)
