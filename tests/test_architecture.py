"""The house rules, kept: who may import what, and what nobody may use. Each rule says why when it fails."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "omniroute"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    ("errors", "private", "secret"),
    ("document",),
    ("formats", "state", "catalog"),
    ("routing",),
    ("policy", "upstream"),
    ("config", "relay"),
    ("services", "scenarios", "telemetry"),
    ("api", "dashboard"),
    ("app", "cli", "server", "listener", "cycle", "workbench", "__main__", "__init__"),
)
TOP = len(LAYERS) - 1
LAYER = {name: layer for layer, names in enumerate(LAYERS) for name in names}

ONLY_IN = {
    "yaml": (("document",), "one strict loader decides what a scalar means"),
    "httpx": (("upstream",), "one package owns TLS, proxies, redirects and address checks"),
    "authlib": (("upstream/oauth",), "one module speaks OAuth, and it sends over our own transport"),
    "httptools": (("upstream", "listener"), "one package parses what providers send, one module what clients send"),
    "toktok": (("formats/tokens/text",), "one module knows the vocabularies, and loads them when they are needed"),
    "re2": (("formats/redaction/expression",), "one module knows which regular expressions there are"),
    "dulwich": (
        ("upstream/git", "upstream/revision", "upstream/checkout", "services/forge"),
        "one module talks to remotes, one makes commits, one reads them, and one looks at what is checked out",
    ),
    "jsonschema": (
        ("config/schema", "config/json_schema"),
        "requests are judged by codecs; a schema is for the file, and for what evals expect",
    ),
    "watchfiles": (("config/watch",), "one module knows how files change"),
    "sqlite3": (("state",), "SQL stays where the tables are defined"),
    "sqlite_utils": (("state",), "SQL stays where the tables are defined"),
    "litestar": (("api", "app"), "the hot path is plain ASGI"),
    "uvicorn": (("server", "listener", "cycle"), "these modules know the server"),
    "argon2": (("api", "cli"), "passwords belong to the management plane"),
    "prometheus_client": (("telemetry/collector",), "one module makes the page"),
    "requests": (
        ("telemetry/export",),
        "the transports of upstream/ are the only clients; OTLP's exporter has this one",
    ),
    "opentelemetry": (("telemetry/export",), "an extra, which one module imports, and only when it is configured"),
    "argparse": (("cli",), "one package is the command line"),
}
OPENERS = frozenset(
    {
        "api/password",
        "app",
        "config/vault",
        "upstream/auth",
        "upstream/git",
        "upstream/instance",
        "telemetry/export",
        "upstream/oauth",
    }
)
"""Who opens a secret: where it is used, sealed or compared."""
NOWHERE = {
    "json": "msgspec is faster and stricter",
    "pydantic": "msgspec Structs are the only models",
    "subprocess": "the server never starts a process",
    "pickle": "a pickle runs code",
    "dataclasses": "msgspec Structs are the only records",
}
NO_CALLS = {
    "eval": "text is data",
    "exec": "text is data",
    "print": "only the command line prints; everything else logs or answers",
    "breakpoint": "not in a release",
}


def module_of(file: Path) -> str:
    return str(file.relative_to(PACKAGE).with_suffix(""))


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in the file, also inside functions, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "omniroute":
                yield from ((f"omniroute.{name.name}", node.lineno) for name in node.names)
            else:
                yield node.module, node.lineno


def typing_only(tree: ast.AST) -> set[int]:
    """The lines under `if TYPE_CHECKING:`, which import nothing at run time."""
    guarded = (n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))
    return {child.lineno for node in guarded for child in ast.walk(node) if hasattr(child, "lineno")}


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_modules_import_only_downwards(file: Path) -> None:
    tree = ast.parse(file.read_text())
    top = module_of(file).split("/")[0]
    here = LAYER[top]
    for name, line in imports(tree):
        parts = name.split(".")
        if parts[0] != "omniroute" or len(parts) == 1 or parts[1] not in LAYER or parts[1] == top:
            continue
        there = LAYER[parts[1]]
        siblings = here == there != TOP
        assert there <= here, f"{file}:{line} imports {name}: a layer knows only those below it"
        assert not siblings, f"{file}:{line} imports {name}: packages of one layer do not know each other"
        assert (top, parts[1]) != ("api", "relay"), f"{file}:{line}: management cannot reach into the hot path"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_libraries_stay_in_their_rooms(file: Path) -> None:
    module = module_of(file)
    tree = ast.parse(file.read_text())
    for name, line in imports(tree):
        library = name.split(".")[0]
        assert library not in NOWHERE, f"{file}:{line} imports {library}: {NOWHERE[library]}"
        rooms, reason = ONLY_IN.get(library, ((module,), ""))
        fits = any(module == room or module.startswith(f"{room}/") for room in rooms)
        assert fits, f"{file}:{line} imports {library}, which belongs to {rooms}: {reason}"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_nobody_uses_what_is_forbidden(file: Path) -> None:
    module = module_of(file)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NO_CALLS:
            if node.func.id == "print" and module.startswith("cli/"):
                continue
            pytest.fail(f"{file}:{node.lineno} calls {node.func.id}: {NO_CALLS[node.func.id]}")
        if isinstance(node, ast.Attribute) and node.attr == "reveal":
            allowed = module in OPENERS
            assert allowed, f"{file}:{node.lineno} opens a secret: that is done where it is used, and nowhere else"
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
            allowed = module == "config/secrets"
            assert allowed, f"{file}:{node.lineno} reads the environment: config/secrets.py is the one reader"


def test_every_module_says_what_it_is() -> None:
    silent = [module_of(file) for file in FILES if not ast.get_docstring(ast.parse(file.read_text()))]
    assert not silent, f"modules without a docstring: {silent}"


def test_importing_the_command_line_loads_no_server() -> None:
    for file in sorted((PACKAGE / "cli").glob("*.py")):
        tree = ast.parse(file.read_text())
        names = {
            name.split(".")[0]
            for node in tree.body
            for name, _ in imports(node)
            if not isinstance(node, ast.FunctionDef)
        }
        heavy = names & {"uvicorn", "litestar", "msgspec", "httpx", "jsonschema"}
        assert not heavy, f"{file.name} imports {heavy} at the top: `validate` in CI would pay for it"


def test_reading_the_files_loads_neither_codecs_nor_servers() -> None:
    """`validate` in CI pays for what it needs."""
    told = "import sys; from omniroute.config import bundle; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"omniroute.formats.codecs", "omniroute.relay", "litestar", "uvicorn", "httpx", "dulwich", "numpy"}
    assert not heavy & set(loaded)


def test_escapes_from_the_types_are_few() -> None:
    """Escapes from the checks are few and known; a new one is a decision, not a habit."""
    escapes = sum(file.read_text().count("type: ignore") for file in FILES)
    assert escapes <= 12, f"{escapes} `type: ignore`: mend the types instead"
