"""`omniroute eval`: puts evals to models through the engine."""

from __future__ import annotations

import argparse
import sys

from omniroute.cli.words import ERRORS, FINE, USAGE, Verbs, config_option, config_path, json_option, print_json, verb


def add(verbs: Verbs) -> None:
    command = verb(verbs, evaluate, "eval", "put evals to models", "omniroute eval smoke --target openai/gpt-5-mini")
    config_option(command)
    command.add_argument("suites", nargs="*", metavar="SUITE", help="only these")
    command.add_argument("--target", default="", metavar="MODEL", help="put all cases to this model")
    json_option(command)


def evaluate(arguments: argparse.Namespace) -> int:
    """Runs suites of evals through the engine, as a server would, and says what became of each case."""
    import asyncio

    from omniroute.app import Service
    from omniroute.config.overrides import Overrides
    from omniroute.errors import CallError
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
                    print_json(seen)
                else:
                    print(shown.summary(seen))
        return FINE if passed else ERRORS

    try:
        service = Service(config_path(arguments), Overrides(insecure=True))
        if not service.bundle.spec.evals:
            print("there are no evals", file=sys.stderr)
            return USAGE
        return asyncio.run(all_of(service))
    except CallError as error:
        print(error.fault.message, file=sys.stderr)
        return USAGE
