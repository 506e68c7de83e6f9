"""The command line: one function a verb.

Exit codes: 0 fine, 1 the configuration has errors, a scenario or an eval fails or the audit log is broken, 2 wrong usage,
3 warnings under `--strict`, 78 (EX_CONFIG) refused to start. Imports stand inside the verbs because `validate` in CI must
not pay for a web server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniroute import __version__

if TYPE_CHECKING:
    from omniroute.errors import Problem
    from omniroute.services.shelf import Shelf

DEFAULT_CONFIG = "config/omniroute.yaml"
FINE, ERRORS, USAGE, WARNINGS, REFUSED = 0, 1, 2, 3, 78


def main(argv: list[str] | None = None) -> int:
    """Runs a verb and gives its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return FINE


def serve(arguments: argparse.Namespace) -> int:
    """Starts the gateway."""
    from omniroute import server
    from omniroute.config.overrides import Overrides
    from omniroute.config.secrets import environment
    from omniroute.errors import ConfigError

    try:
        said = environment()
        overrides = Overrides(
            host=arguments.host,
            port=said.port if arguments.port is None else arguments.port,
            require_api_key=said.require_api_key,
            initial_password=said.initial_password,
            insecure=arguments.insecure,
        )
        return server.run(_path(arguments), overrides, said.log_level or "INFO")
    except ConfigError as error:
        _report(error.problems, arguments)
    except server.CannotListen as error:
        print(f"{error}; `--port` takes another port, `--host` another address", file=sys.stderr)
    return REFUSED


def validate(arguments: argparse.Namespace) -> int:
    """Checks the files, without the network and without secrets."""
    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.config import secrets as references
    from omniroute.errors import ConfigError

    try:
        read = bundle.read(_path(arguments), catalog.load())
        problems = list(read.warnings)
        if arguments.resolve:
            problems += references.missing(read)
    except ConfigError as error:
        problems = list(error.problems)
    _report(problems, arguments)
    if any(problem.severity == "error" for problem in problems):
        return ERRORS
    return WARNINGS if problems and arguments.strict else FINE


def schema(arguments: argparse.Namespace) -> int:
    """Prints the JSON schema, or says whether a file holds the current one."""
    from omniroute.config.schema import schema_text

    text = schema_text()
    if arguments.check is None:
        sys.stdout.write(text)
        return FINE
    if arguments.check.is_file() and arguments.check.read_text() == text:
        return FINE
    print(f"{arguments.check} is not current: run `omniroute schema > {arguments.check}`", file=sys.stderr)
    return ERRORS


def init(arguments: argparse.Namespace) -> int:
    """Writes a commented starter file; never over an existing one."""
    from importlib.resources import files

    target: Path = arguments.path
    starter = files("omniroute.config").joinpath("starter.yaml").read_text()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x") as file:  # not even through a link that leads nowhere
            file.write(starter)
    except OSError as error:
        there = target.is_symlink() or target.exists()
        reason = "it is there already" if there else error.strerror
        print(f"{target} was not written: {reason}", file=sys.stderr)
        return ERRORS
    print(f"wrote {target}; start with: omniroute serve --config {target}")
    return FINE


def key_new(arguments: argparse.Namespace) -> int:
    """Makes a client key: the key once, and the block for the file, which holds only its digest."""
    from omniroute.config import key as keys
    from omniroute.config.spec.words import is_name

    if not is_name(arguments.name):
        print(f"{arguments.name!r} is no name for a key: letters, digits, `-`, `_` and `.`", file=sys.stderr)
        return USAGE
    key, digest = keys.new()
    if arguments.json:
        _print_json({"name": arguments.name, "key": key, "digest": digest})
        return FINE
    roles = f"\n    roles: [{', '.join(arguments.role)}]" if arguments.role else ""
    print(
        f"{key}\n\n# The key is shown this once. For the file:\nkeys:\n  {arguments.name}:\n    digest: {digest}{roles}"
    )
    return FINE


def password(arguments: argparse.Namespace) -> int:
    """Hashes the administrator's password, read from the terminal or from standard input."""
    import getpass

    from argon2 import PasswordHasher

    typed = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(typed) < arguments.minimum:
        print(f"a password has at least {arguments.minimum} characters", file=sys.stderr)
        return USAGE
    print(PasswordHasher().hash(typed))
    return FINE


def explain_model(arguments: argparse.Namespace) -> int:
    """Tells where a request for a model would go, and why."""
    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.errors import CallError, ConfigError
    from omniroute.scenarios import asking, shown

    try:
        read = bundle.read(_path(arguments), catalog.load())
        if arguments.key and arguments.key not in read.spec.keys:
            print(f"there is no key named {arguments.key!r} in the file", file=sys.stderr)
            return USAGE
        given = asking.given(
            arguments.model,
            key=arguments.key,
            spoken=arguments.format,
            tokens=arguments.tokens,
            has=arguments.has,
            headers=arguments.header,
            at=arguments.at,
        )
        told, outcome = asking.explained(read, catalog.load(), given)
    except ConfigError as error:
        _report(error.problems, arguments)
        return ERRORS
    except CallError as error:
        print(error.fault.message, file=sys.stderr)
        return ERRORS
    except ValueError as error:
        print(error, file=sys.stderr)
        return USAGE
    if arguments.json:
        _print_json(told)
    else:
        print(shown.explanation(told, outcome))
    return FINE


def explain_config(arguments: argparse.Namespace) -> int:
    """Tells where a value of the configuration comes from."""
    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.config.origin import origin
    from omniroute.config.secrets import environment
    from omniroute.errors import ConfigError
    from omniroute.scenarios import shown

    try:
        found = origin(bundle.read(_path(arguments), catalog.load()), arguments.place, environment())
    except ConfigError as error:
        _report(error.problems, arguments)
        return ERRORS
    if found is None:
        print(f"there is no {arguments.place!r} in the configuration", file=sys.stderr)
        return ERRORS
    if arguments.json:
        _print_json(found)
    else:
        print(shown.origin(found))
    return FINE


def test(arguments: argparse.Namespace) -> int:
    """Runs the scenarios of the configuration, without a network and on a clock of its own."""
    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.errors import ConfigError
    from omniroute.scenarios import junit, runner, shown
    from omniroute.scenarios.case import cases, selected

    known = catalog.load()
    try:
        read = bundle.read(_path(arguments), known, more=arguments.files)
    except ConfigError as error:
        _report(error.problems, arguments)
        return ERRORS
    chosen = selected(cases(read), arguments.files, arguments.run_only)
    if not chosen:
        print("there is no such scenario" if arguments.run_only else "there are no scenarios", file=sys.stderr)
        return USAGE
    report = runner.run(read, known, chosen)
    if not arguments.run_only:
        report = runner.covered(report, read, known, chosen)
    if arguments.junit is not None:
        arguments.junit.write_bytes(junit.xml(report))
    if arguments.json:
        _print_json(report)
    else:
        print(shown.text(report, colour=sys.stdout.isatty()))
    return ERRORS if report.failed else FINE


def backup_create(arguments: argparse.Namespace) -> int:
    """Makes a verified copy of the history."""

    def create(shelf: Shelf, now: float, keep: int) -> object:
        made = shelf.create("manual", now, keep)
        _say(arguments, f"{made.backup.id}: {_rows(made.facts.rows)}, verified")
        return made

    return _on_shelf(arguments, create)


def backup_list(arguments: argparse.Namespace) -> int:
    """Lists the backups."""

    def told(shelf: Shelf, _now: float, _keep: int) -> object:
        found = shelf.all()
        for each in found:
            _say(arguments, f"{each.id}  {each.size:>12,} bytes")
        return found

    return _on_shelf(arguments, told)


def backup_verify(arguments: argparse.Namespace) -> int:
    """Looks at all of a backup."""

    def verify(shelf: Shelf, _now: float, _keep: int) -> object:
        facts = shelf.verify(arguments.id)
        _say(arguments, f"{arguments.id}: version {facts.version}, {_rows(facts.rows)}, sound")
        return facts

    return _on_shelf(arguments, verify)


def backup_restore(arguments: argparse.Namespace) -> int:
    """Puts a backup in the place of the history, which becomes a backup itself. A gateway that runs on it goes on."""

    def restore(shelf: Shelf, now: float, _keep: int) -> object:
        restored = shelf.restore(arguments.id, now)
        kept = f"; what was there is {restored.before.id}" if restored.before else ""
        _say(arguments, f"{arguments.id} is in place: {_rows(restored.facts.rows)}{kept}")
        return restored

    return _on_shelf(arguments, restore)


def _on_shelf(arguments: argparse.Namespace, act: Callable[[Shelf, float, int], object]) -> int:
    """Does something with the backups of the configuration's database, or of the directory that is named."""
    import time

    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.config.spec.backups import BackupsSpec
    from omniroute.errors import CallError, ConfigError
    from omniroute.services.shelf import DATABASE, Shelf

    try:
        folder, keep = arguments.data_dir, BackupsSpec().keep
        if folder is None:
            spec = bundle.read(_path(arguments), catalog.load()).spec
            folder, keep = Path(spec.server.data_dir), spec.backups.keep
        done = act(Shelf(folder / DATABASE), time.time(), keep)
    except ConfigError as error:
        _report(error.problems, arguments)
        print("`--data-dir` names the directory where there is no configuration to be read", file=sys.stderr)
        return ERRORS
    except (CallError, OSError) as error:
        print(error, file=sys.stderr)
        return ERRORS
    if arguments.json:
        _print_json(done)
    return FINE


def _say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.json:
        print(text)


def _rows(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} rows of {name}" for name, number in rows.items() if number) or "no rows"


def audit_verify(arguments: argparse.Namespace) -> int:
    """Says whether the audit log is whole."""
    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.errors import ConfigError, Unavailable
    from omniroute.state import audit_file, audit_key

    try:
        folder = arguments.data_dir or Path(bundle.read(_path(arguments), catalog.load()).spec.server.data_dir)
        database = folder / "omniroute.sqlite"
        if not database.exists():
            print(f"there is no audit log in {folder}; `--data-dir` takes another folder", file=sys.stderr)
            return ERRORS
        verdict = audit_file.verify(database, folder / audit_key.NAME)
    except ConfigError as error:
        _report(error.problems, arguments)
        return ERRORS
    except Unavailable as error:
        print(error, file=sys.stderr)
        return ERRORS
    if arguments.json:
        _print_json(verdict)
    elif verdict.ok:
        print(f"the audit log is whole: {verdict.rows} rows")
    else:
        print(f"the audit log is broken at row {verdict.broken_at}: {verdict.reason}")
    return FINE if verdict.ok else ERRORS


def evaluate(arguments: argparse.Namespace) -> int:
    """Runs suites of evals through the engine, as a server would, and says what became of each case."""
    import asyncio

    from omniroute.app import Service
    from omniroute.config.overrides import Overrides
    from omniroute.errors import CallError, ConfigError
    from omniroute.services.evals import shown

    async def all_of(service: Service) -> int:
        passed = True
        async with service.beside():
            for name in arguments.suites or service.bundle.spec.evals:
                run = await service.evals.start(name, arguments.target)
                async for row, case in run.watch():
                    if case is not None and not arguments.json:
                        print(shown.case(row, case))
                seen = await service.evals.see(run.row.id)
                passed = passed and seen.run.passed == seen.run.total
                if arguments.json:
                    _print_json(seen)
                else:
                    print(shown.summary(seen))
        return FINE if passed else ERRORS

    try:
        service = Service(_path(arguments), Overrides(insecure=True))
        if not service.bundle.spec.evals:
            print("there are no evals", file=sys.stderr)
            return USAGE
        return asyncio.run(all_of(service))
    except ConfigError as error:
        _report(error.problems, arguments)
        return ERRORS
    except CallError as error:
        print(error.fault.message, file=sys.stderr)
        return USAGE


def _path(arguments: argparse.Namespace) -> Path:
    """The main file: what was asked for, else what the environment says, else the usual place."""
    from omniroute.config.secrets import environment

    return arguments.config or environment().config or Path(DEFAULT_CONFIG)


def _report(problems: Sequence[Problem], arguments: argparse.Namespace) -> None:
    from omniroute.config import report

    form = getattr(arguments, "output", "text")
    stream = sys.stderr if form == "text" else sys.stdout
    colour = stream.isatty()
    text = report.FORMS[form](problems, colour)
    if text:
        print(text, file=stream)


def _print_json(value: object) -> None:
    import msgspec

    encode = msgspec.json.Encoder(decimal_format="number").encode  # as the management API does it
    sys.stdout.buffer.write(msgspec.json.format(encode(value), indent=2) + b"\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omniroute",
        description="The AI gateway that platform engineers keep in git.",
        epilog="omniroute validate --output github   checks the file in CI",
    )
    parser.add_argument("--version", action="version", version=f"omniroute {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _verb(verbs, serve, "serve", "start the gateway", "omniroute serve --port 8080")
    _config(command)
    command.add_argument("--host", help="listen here and not where `server.host` says")
    command.add_argument("--port", type=int, help="listen on this port and not on `server.port`")
    command.add_argument("--insecure", action="store_true", help="start even where the defaults refuse: open to all")

    command = _verb(verbs, validate, "validate", "check the files", "omniroute validate --output json --strict")
    _config(command)
    command.add_argument("--output", choices=("text", "json", "github"), default="text")
    command.add_argument("--strict", action="store_true", help="warnings make exit code 3")
    command.add_argument("--resolve", action="store_true", help="also check that all secrets are there")

    command = _verb(
        verbs, schema, "schema", "print the JSON schema of the file", "omniroute schema > config/schema.json"
    )
    command.add_argument("--check", type=Path, metavar="FILE", help="exit 1 where FILE is not current")

    command = _verb(verbs, init, "init", "write a commented starter file", "omniroute init gateway/omniroute.yaml")
    command.add_argument("path", type=Path, nargs="?", default=Path(DEFAULT_CONFIG))

    keys = verbs.add_parser("key", help="client keys").add_subparsers(required=True, metavar="COMMAND")
    command = _verb(keys, key_new, "new", "make a client key", "omniroute key new team-a")
    command.add_argument("name")
    command.add_argument("--role", action="append", choices=("client", "admin.read", "admin.write"))
    command.add_argument("--json", action="store_true")

    command = _verb(verbs, password, "password", "hash the administrator's password", "omniroute password < file")
    command.set_defaults(minimum=8)

    command = _verb(
        verbs, test, "test", "run the scenarios of policies and files", "omniroute test --junit results.xml"
    )
    _config(command)
    command.add_argument("files", type=Path, nargs="*", help="only those of these files, included or not")
    command.add_argument(
        "--run", dest="run_only", metavar="NAME", default="", help="only those whose name has this in it"
    )
    command.add_argument("--junit", type=Path, metavar="FILE", help="also write the results as JUnit XML")
    command.add_argument("--json", action="store_true")

    command = _verb(verbs, evaluate, "eval", "put evals to models", "omniroute eval smoke --target openai/gpt-5-mini")
    _config(command)
    command.add_argument("suites", nargs="*", metavar="SUITE", help="only these")
    command.add_argument("--target", default="", metavar="MODEL", help="put all cases to this model")
    command.add_argument("--json", action="store_true")

    what = verbs.add_parser("explain", help="why a request goes where it goes").add_subparsers(
        required=True, metavar="WHAT"
    )
    command = _verb(what, explain_model, "model", "where a model leads", "omniroute explain model coding --key team-a")
    _config(command)
    command.add_argument("model")
    command.add_argument("--key", default="", help="as the key of this name")
    command.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="a header of the request")
    command.add_argument("--tokens", type=int, help="a prompt of about so many tokens")
    command.add_argument("--has", action="append", default=[], metavar="WHAT", help="tools, images, documents, …")
    command.add_argument("--at", metavar="TIME", help="then and not now, such as 2026-03-02T09:30:00Z")
    command.add_argument(
        "--format",
        choices=("openai_chat", "openai_responses", "anthropic", "gemini", "ollama"),
        default="openai_chat",
        help="what the client speaks",
    )
    command.add_argument("--json", action="store_true")

    command = _verb(what, explain_config, "config", "where a value comes from", "omniroute explain config server.port")
    _config(command)
    command.add_argument("place", metavar="PATH")
    command.add_argument("--json", action="store_true")

    does = verbs.add_parser("backup", help="copies of the history").add_subparsers(required=True, metavar="COMMAND")
    known = "db_2026-03-02T09-30-00-000Z_manual.sqlite"
    _shelf(_verb(does, backup_create, "create", "make a verified copy", "omniroute backup create"))
    _shelf(_verb(does, backup_list, "list", "list the copies", "omniroute backup list --json"))
    for run, name, text in (
        (backup_verify, "verify", "look whether a copy could be restored"),
        (backup_restore, "restore", "put a copy in the place of the history, also while a gateway runs on it"),
    ):
        command = _verb(does, run, name, text, f"omniroute backup {name} {known}")
        command.add_argument("id", metavar="BACKUP", help="as `omniroute backup list` has it")
        _shelf(command)

    logs = verbs.add_parser("audit", help="the audit log").add_subparsers(required=True, metavar="COMMAND")
    command = _verb(logs, audit_verify, "verify", "check that the audit log is whole", "omniroute audit verify")
    _config(command)
    command.add_argument("--data-dir", type=Path, help="look here and not where `server.data_dir` says")
    command.add_argument("--json", action="store_true")
    return parser


def _shelf(command: argparse.ArgumentParser) -> None:
    _config(command)
    command.add_argument("--data-dir", type=Path, help="the directory of the database, instead of `server.data_dir`")
    command.add_argument("--json", action="store_true")


def _verb(verbs: object, run: object, name: str, text: str, example: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = verbs.add_parser(  # type: ignore[attr-defined]  # argparse hides the type
        name, help=text, description=text.capitalize() + ".", epilog=f"example: {example}"
    )
    command.set_defaults(run=run)
    return command


def _config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config",
        "-c",
        type=Path,
        default=None,
        help=f"the main file (default: $OMNIROUTE_CONFIG or {DEFAULT_CONFIG})",
    )
