"""What the command line and the environment say otherwise than the file: few things, and all of them here."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.config.bundle import Bundle
from omniroute.config.lint.access import exposure
from omniroute.errors import ConfigError
from omniroute.secret import Secret


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """None stands for what the file says. `insecure` lets a gateway start that is open to strangers."""

    host: str | None = None
    port: int | None = None
    require_api_key: bool | None = None
    initial_password: Secret | None = None
    insecure: bool = False


def overridden(bundle: Bundle, overrides: Overrides, bound: str | None = None) -> Bundle:
    """The bundle with what was said otherwise. Raises ConfigError where that would open it to strangers, on the host
    that it names or on the one that a running server is `bound` to."""
    spec = bundle.spec
    changed = msgspec.structs.replace(
        bundle,
        spec=msgspec.structs.replace(
            spec,
            server=msgspec.structs.replace(spec.server, **_said(host=overrides.host, port=overrides.port)),
            auth=msgspec.structs.replace(spec.auth, **_said(require_api_key=overrides.require_api_key)),
        ),
    )
    if overrides.insecure:
        return changed
    for host in dict.fromkeys((changed.spec.server.host, bound or changed.spec.server.host)):
        lacking = exposure(changed.spec, host, password=overrides.initial_password is not None)
        if lacking:
            message = f"`{host}` is more than this machine, and there lacks: {', '.join(lacking)}"
            hint = "or listen on 127.0.0.1; `--insecure` is for closed test networks"
            raise ConfigError([changed.problem("OR305", ("server", "host"), message, hint)])
    return changed


def _said(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
