"""Whole files, good and bad. A bad one ends with what is to be found in it: `# expect: LINE:COL CODE`."""

from pathlib import Path

import msgspec
import pytest

from omniroute import catalog
from omniroute.config import bundle, report, schema, secrets
from omniroute.config.problems import CODES
from omniroute.config.spec import Fragment, Spec
from omniroute.document import Document
from omniroute.errors import ConfigError

HERE = Path(__file__).parent
GOOD = sorted((HERE / "good").glob("*.yaml"))
BAD = sorted((HERE / "bad").glob("*.yaml"))
PARTS = sorted(part for part in HERE.glob("*/parts/*.yaml") if part.is_file())


def findings(file):
    """What is told about a file, and where: errors, else warnings, and missing secrets where it asks for them."""
    try:
        read = bundle.read(file, catalog.load())
    except ConfigError as error:
        return list(error.problems)
    asked = secrets.missing(read) if file.read_bytes().startswith(b"# resolve") else []
    return [*read.warnings, *asked]


def expected(file):
    lines = file.read_bytes().decode(errors="replace").splitlines()
    return [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]


def told(problem, file):
    elsewhere = "" if problem.file == str(file) else f"{Path(problem.file).relative_to(file.parent)}:"
    return f"{elsewhere}{problem.line}:{problem.col} {problem.code}"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OMNIROUTE_TEST_TEXT", "not an address")
    monkeypatch.setenv("OMNIROUTE_TEST_LINES", "two\nlines")


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_a_good_file_has_no_findings(file):
    assert findings(file) == []


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_a_good_file_compiles(file):
    read = bundle.read(file, catalog.load())
    from omniroute.config.compile import compile_gateway

    gateway = compile_gateway(read, catalog.load(), resolve=False)
    assert set(gateway.upstreams) == set(read.spec.providers)
    assert {*read.spec.combos} <= set(gateway.routes)


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_file_has_exactly_the_findings_that_it_names(file):
    assert expected(file)
    assert [told(problem, file) for problem in findings(file)] == expected(file)


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_every_finding_has_a_known_code_a_severity_by_its_code_and_words(file):
    for problem in findings(file):
        assert problem.code in CODES
        assert (problem.severity == "warning") == problem.code.startswith("OR4")
        assert problem.message
        assert problem.message.isprintable()
        assert problem.hint.isprintable()
        assert problem.source.isprintable()


def test_the_corpus_covers_every_code():
    covered = {line.split()[-1] for file in BAD for line in expected(file)}
    assert covered == set(CODES)


def test_the_corpus_has_the_size_that_it_should_have():
    assert len(GOOD) >= 20
    assert len(BAD) >= 60


@pytest.mark.parametrize("form", report.FORMS)
def test_no_rendering_shows_a_literal_secret(form):
    everything = [problem for file in BAD for problem in findings(file)]
    text = report.FORMS[form](everything, False)
    assert "OR110" in text
    assert "canary" not in text
    assert "hunter2" not in text
    assert "48151623421234567" not in text


@pytest.mark.parametrize("file", [*GOOD, *BAD, *PARTS], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_the_quick_check_and_the_schema_agree(file):
    if not file.is_file():
        pytest.skip("a directory on purpose")
    try:
        document = Document.parse(file.read_bytes(), file.name)
    except ConfigError:
        return
    root = Fragment if file.parent.name == "parts" else Spec
    assert quick(document, root) == (schema.problems(document, root) == [])


def quick(document, root):
    try:
        msgspec.convert(document.data, root)
    except msgspec.ValidationError:
        return False
    return not document.has_nulls
