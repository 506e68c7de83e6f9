"""`omniroute serve`: starts the gateway."""

from __future__ import annotations

import argparse
import sys

from omniroute.cli.words import REFUSED, Verbs, config_option, config_path, report_problems, verb


def add(verbs: Verbs) -> None:
    command = verb(verbs, serve, "serve", "start the gateway", "omniroute serve --port 8080")
    config_option(command)
    command.add_argument("--host", help="listen here and not where `server.host` says")
    command.add_argument("--port", type=int, help="listen on this port and not on `server.port`")
    command.add_argument("--insecure", action="store_true", help="start even where the defaults refuse: open to all")


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
        return server.run(config_path(arguments), overrides, said.log_level or "INFO")
    except ConfigError as error:
        report_problems(error.problems)
    except server.CannotListen as error:
        print(f"{error}; `--port` takes another port, `--host` another address", file=sys.stderr)
    return REFUSED
