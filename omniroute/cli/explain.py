"""`omniroute explain`: why a request goes where it goes, and where a value comes from."""

from __future__ import annotations

import argparse
import sys

from omniroute.cli.words import (
    ERRORS,
    FINE,
    USAGE,
    Verbs,
    config_option,
    env_option,
    json_option,
    print_json,
    read_files,
    verb,
)


def add(verbs: Verbs) -> None:
    what = verbs.add_parser("explain", help="why a request goes where it goes").add_subparsers(
        required=True, metavar="WHAT"
    )
    command = verb(what, explain_model, "model", "where a model leads", "omniroute explain model coding --key team-a")
    config_option(command)
    env_option(command)
    command.add_argument("model", help="what a client would ask for")
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
    json_option(command)

    command = verb(what, explain_config, "config", "where a value comes from", "omniroute explain config server.port")
    config_option(command)
    env_option(command)
    command.add_argument("place", metavar="PATH", help="such as server.port or combos.coding.strategy")
    json_option(command)


def explain_model(arguments: argparse.Namespace) -> int:
    """Tells where a request for a model would go, and why."""
    from omniroute import catalog
    from omniroute.scenarios import asking, shown

    try:
        read = read_files(arguments)
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
    except ValueError as error:
        print(error, file=sys.stderr)
        return USAGE
    if arguments.json:
        print_json(told)
    else:
        print(shown.explanation(told, outcome))
    return FINE


def explain_config(arguments: argparse.Namespace) -> int:
    """Tells where a value of the configuration comes from."""
    from omniroute.config.origin import origin
    from omniroute.config.secrets import environment
    from omniroute.scenarios import shown

    found = origin(read_files(arguments), arguments.place, environment())
    if found is None:
        print(f"there is no {arguments.place!r} in the configuration", file=sys.stderr)
        return ERRORS
    if arguments.json:
        print_json(found)
    else:
        print(shown.origin(found))
    return FINE
