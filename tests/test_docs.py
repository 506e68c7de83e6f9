"""The pages say everything there is to say, and nothing that is not so."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import msgspec
import pytest
from support.gateway import ROOT, Gateway, environment

from omniroute import api, cli
from omniroute.catalog import Model, cost
from omniroute.config import spec
from omniroute.config.compile.facts import model_facts
from omniroute.config.problems import CODES
from omniroute.config.secrets import Environment
from omniroute.config.spec.providers import ModelSpec, PriceSpec
from omniroute.document import Document
from omniroute.relay import headers, ingress

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md")])
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page that are in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def settings() -> list[tuple[str, str]]:
    """Every map of the file with every key of it."""
    modules = [import_module(module.name) for module in iter_modules(spec.__path__, f"{spec.__name__}.")]
    everything = {name: kind for module in (spec, *modules) for name, kind in vars(module).items()}
    maps = [kind for kind in everything.values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    return [(kind.__name__, field) for kind in maps for field in kind.__struct_encode_fields__]


def test_the_generated_pages_are_current():
    command = [sys.executable, ROOT / "docs" / "generate.py", "--check"]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("setting", settings(), ids=".".join)
def test_every_setting_is_documented(setting):
    assert f"\n| `{setting[1]}` | " in (ROOT / "docs" / "configuration.md").read_text()


def test_every_header_of_the_client_api_is_documented_and_there():
    code = "".join(path.read_text() for path in (ROOT / "omniroute" / "relay").glob("*.py"))
    written = set(re.findall(r'b"(x-omniroute-[a-z-]+)"', code))
    told = {name.lower() for name in headers.ASKED | headers.ANSWERED}
    assert written == {name for name in told if name.startswith("x-omniroute-")}


@pytest.mark.parametrize("variable", Environment.__struct_fields__)
def test_every_variable_is_documented(variable):
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert re.search(rf"\n\| `(OMNIROUTE_)?{variable.upper()}` \| ", page)


@pytest.mark.parametrize("code", CODES)
def test_every_problem_is_documented_with_an_example_and_what_to_do(code):
    page = (ROOT / "docs" / "problems.md").read_text()
    section = page.partition(f"### {code}: {CODES[code]}\n")[2].partition("\n#")[0]
    example, _, remedy = section.partition("```text\n")[2].partition("\n```\n")
    assert re.match(rf"[^\n]+:\d+:\d+: (error|warning) {code} ", example)
    assert len(remedy.split()) >= 3


@pytest.mark.parametrize("row", [*ingress.ENDPOINTS, *api.ENDPOINTS], ids=lambda row: f"{row.method} {row.path}")
def test_every_endpoint_is_documented(row):
    assert f"\n| `{row.method} {row.path}` | " in (ROOT / "docs" / "endpoints.md").read_text()


@each_page
def test_what_a_page_links_to_is_there(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if not file.startswith(("http://", "https://", "mailto:")):
            leads = page.parent / file if file else page
            assert leads.exists(), target
            if anchor:
                assert anchor in anchors(leads), target


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_what_a_page_says_to_type_can_be_typed(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            program, *arguments = re.split(r" [#<>]", line)[0].split() or [""]
            if program == "omniroute":
                assert cli.parser().parse_args(arguments).run
            elif program == "make":
                assert arguments[0] in targets
            elif program.startswith("."):
                assert (ROOT / program).is_file()


def test_the_readme_works_by_its_letter(capsys):
    readme = ROOT / "README.md"
    with Gateway(ROOT / "config" / "omniroute.yaml") as gateway:

        def here(text: str) -> str:
            assert "http://127.0.0.1:20128" in text
            return text.replace("http://127.0.0.1:20128", gateway.url)

        snippets = blocks(readme, "python")
        assert len(snippets) >= 2
        for snippet in snippets:
            exec(compile(here(snippet), str(readme), "exec"), {})
            assert "Hello there" in capsys.readouterr().out
        calls = [block for block in blocks(readme, "sh") if block.startswith("curl")]
        assert len(calls) >= 2
        for call in calls if shutil.which("curl") else []:
            ended = subprocess.run(["sh", "-c", here(call)], capture_output=True, text=True, timeout=30, check=True)
            assert " there" in ended.stdout
            assert '"error"' not in ended.stdout


def test_the_changelog_names_every_verb():
    text = (ROOT / "CHANGELOG.md").read_text()
    for action in cli.parser()._actions:
        for verb in action.choices if isinstance(action.choices, dict) else ():
            assert re.search(rf"\b{verb}\b", text)


def test_translation_loses_nothing_without_saying_so():
    page = (ROOT / "docs" / "translation.md").read_text()
    assert "lost: `" in page
    assert "**unreported**" not in page, "a feature changed on the way, and no codec reported a loss"


def test_the_example_of_a_cost_is_reckoned_as_the_gateway_does():
    page = (ROOT / "docs" / "prices.md").read_text()
    file = Document.parse(blocks(ROOT / "docs" / "prices.md", "yaml")[0].encode(), "prices.md").data
    ((_, said),) = file["pricing"].items()
    price = model_facts(Model(id="m", kind="chat"), ModelSpec(), msgspec.convert(said, PriceSpec)).price
    assert price is not None
    rows = re.findall(r"^\| [a-z ]+ \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    for tokens, rate, dollars in rows:
        assert int(tokens) * Decimal(rate) / 1_000_000 == Decimal(dollars)
    (together,) = re.findall(r"\*\*([\d.]+)\*\* \|$", page, re.MULTILINE)
    fresh, cached, produced = (int(tokens) for tokens, _, _ in rows)
    usage = {"input": fresh + cached, "output": produced, "cached": cached, "reasoning": 1000}
    assert cost(price, **usage) == Decimal(together) == sum(Decimal(dollars) for _, _, dollars in rows)


def test_every_option_of_the_command_line_is_explained():
    silent = [
        f"{' '.join(words)} {action.dest}"
        for words, parser in cli.commands(cli.parser())
        for action in parser._actions
        if not action.help
    ]
    assert silent == []
