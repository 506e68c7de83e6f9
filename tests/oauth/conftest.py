"""What the tests of signing in stand on: an authorization server, a provider that takes its tokens, a gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from authority import AuthorizationServer, installed
from house import ADMIN, CLIENT_SECRET, CONFIG, OTHER, READER, House
from support.gateway import Gateway
from support.rig import digest
from support.upstream import Upstream


@pytest.fixture(scope="session")
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer(installed()) as one:
        yield one


@pytest.fixture(scope="module")
def house(server: AuthorizationServer) -> Iterator[House]:
    keys = {"admin": digest(ADMIN), "other": digest(OTHER), "reader": digest(READER)}
    with Upstream() as upstream:
        config = CONFIG.format(upstream=upstream.url, oauth=server.endpoints, **keys)
        with Gateway(config, CLIENT_SECRET=CLIENT_SECRET, BASIC_ID="basic") as gateway:
            one = House(server, upstream, gateway)
            yield one
            one.close()
