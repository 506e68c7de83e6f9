"""Every example is sound, its scenarios pass, it starts and answers, and a client prints what its README shows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest
from support.gateway import ROOT, Gateway

from omniroute import catalog, cli
from omniroute.config import bundle

DEPLOYED = [ROOT / "examples" / name for name in ("ci", "gitops", "kubernetes")]
"""Those that are about deploying: `test_deployment.py` runs them."""
EXAMPLES = sorted({path.parent for path in (ROOT / "examples").glob("*/omniroute.yaml")} - {*DEPLOYED})
WITH_CLIENT = [example for example in EXAMPLES if (example / "client.py").is_file()]
WITH_EVALS = [example for example in EXAMPLES if (example / "evals.yaml").is_file()]
WITH_SCENARIOS = [example for example in EXAMPLES if (example / "scenarios.yaml").is_file()]
ANYTHING = "version: 1\nproviders: {demo: {}}\naliases: {'*': demo/echo}\n"
"""A gateway that stands for every provider: it speaks all formats, and knows every model."""


def each(examples: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", examples, ids=lambda example: example.name)


def shown(example: Path) -> str:
    """What the README says that the client prints."""
    found = re.findall(r"^```text\n(.*?)^```", (example / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return found[0]


def commands(example: Path) -> list[list[str]]:
    """The lines that the README tells people to type."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (example / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line]


def test_there_are_examples_and_each_is_complete():
    assert len(WITH_SCENARIOS) >= 6
    assert {*WITH_CLIENT, *WITH_SCENARIOS} == {*EXAMPLES}
    folders = [path for path in (ROOT / "examples").iterdir() if path.is_dir() and any(path.iterdir())]
    assert sorted({*folders} - {*DEPLOYED}) == EXAMPLES
    for example in EXAMPLES:
        assert (example / "README.md").is_file()
    for example in WITH_SCENARIOS:
        assert list((example / "policies").glob("*.yaml"))


@each(EXAMPLES)
def test_an_example_has_no_findings(example):
    assert bundle.read(example / "omniroute.yaml", catalog.load()).warnings == ()


@each(EXAMPLES)
def test_what_a_readme_says_to_type_can_be_typed(example, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    verbs = set()
    for program, *arguments in commands(example):
        if program == "omniroute":
            verbs.add(arguments[0])
            if arguments[0] != "serve":
                assert cli.main(arguments) == 0, capsys.readouterr().err
            else:
                assert cli.parser().parse_args(arguments).config.is_file()
        elif program == "python":
            assert Path(arguments[0]).is_file()
        else:
            assert program == "curl"
    assert "serve" in verbs


@each(WITH_SCENARIOS)
def test_the_scenarios_of_an_example_pass_and_miss_every_rule_that_is_gone(example, capsys):
    assert cli.main(["test", "--config", str(example / "omniroute.yaml")]) == 0
    assert "untested" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def anything():
    with Gateway(ANYTHING) as gateway:
        yield gateway


@each(WITH_SCENARIOS)
def test_an_example_starts_and_answers_what_its_readme_asks(example, anything, tmp_path):
    folder = tmp_path / example.name
    shutil.copytree(example, folder)
    main = folder / "omniroute.yaml"
    read = bundle.read(main, catalog.load())
    main.write_text(elsewhere(main.read_text(), list(read.spec.providers), f"{anything.url}/v1"))
    keys = dict.fromkeys(re.findall(r"\$\{env:([A-Z_]+)\}", main.read_text()), "anonymous")
    calls = [command for command in commands(example) if command[0] == "curl"]
    assert calls
    with Gateway(main, **keys) as gateway:
        for call in calls:
            status, answer = asked(call, gateway.url)
            assert status == 200, answer
            assert "Hello" in answer


@each(WITH_EVALS)
def test_the_evals_of_an_example_pass_where_the_model_does_as_told(example, anything, tmp_path, monkeypatch, capsys):
    folder = tmp_path / example.name
    shutil.copytree(example, folder)
    main = folder / "omniroute.yaml"
    read = bundle.read(main, catalog.load())
    main.write_text(elsewhere(main.read_text(), list(read.spec.providers), f"{anything.url}/v1"))
    for name in re.findall(r"\$\{env:([A-Z_]+)\}", main.read_text()):
        monkeypatch.setenv(name, "anonymous")
    monkeypatch.chdir(tmp_path)
    for suite, spec in read.spec.evals.items():
        assert cli.main(["eval", suite, "--config", str(main)]) == 0, capsys.readouterr().out
        assert capsys.readouterr().out.count("passed ") == len(spec.cases)


def elsewhere(text: str, providers: list[str], address: str) -> str:
    """The configuration with every provider at this address."""
    text = re.sub(r"(?m)^    base_url:.*\n", "", text)
    for name in providers:
        text, found = re.subn(rf"(?m)^  {name}:.*\n(?=    )", rf"\g<0>    base_url: {address}\n", text)
        assert found == 1
    return text


def asked(call: list[str], url: str) -> tuple[int, str]:
    """What is answered to the request that curl would make."""
    options = list(pairwise(call))
    (address,) = [word for word in call if word.startswith("http")]
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    (body,) = [value for option, value in options if option == "-d"]
    request = urllib.request.Request(address.replace("http://127.0.0.1:20128", url), body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@each(WITH_CLIENT)
def test_the_client_of_an_example_prints_what_its_readme_shows(example):
    with Gateway(example / "omniroute.yaml") as gateway:
        client = subprocess.run(
            [sys.executable, example / "client.py"],
            env=os.environ | {"OMNIROUTE_URL": gateway.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert client.stderr == ""
    assert client.stdout == shown(example)
