"""What a provider is told besides the request: `set_headers`."""

from __future__ import annotations

from collections.abc import Mapping

from omniroute.routing.tables import Orders, Rule


def set_headers(headers: Mapping[str, str]) -> Rule:
    """Sets headers of the request to the provider, whoever else sets them. The values are no references any more."""
    pairs = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in headers.items())
    return Rule(kind="set_headers", says=f"sets {', '.join(headers)}", orders=Orders(headers=pairs))
