"""Paths in which parts stand for something."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fake_application import Application, Browser

from omniroute.api.endpoint import Answer, Endpoint, Request


async def tell(_plane: Any, request: Request) -> Answer:
    return Answer({"params": dict(request.params)})


def row(method: str, path: str) -> Endpoint:
    return Endpoint(method=method, path=path, access="admin.write", body_limit=0, serve=tell, summary="Tells.")


ROWS = [
    row("GET", "/api/things"),
    row("GET", "/api/things/{id}"),
    row("DELETE", "/api/things/{id}"),
    row("POST", "/api/things/{id}/test"),
    row("POST", "/api/things/all"),
    row("GET", "/api/things/{id}/parts/{part}"),
]


@pytest.fixture
def asked(application: Application):
    browser = Browser(application, ROWS)

    def ask(method: str, path: str) -> Any:
        reply = browser(method, path, key="writer")
        return reply.json["params"] if reply.status == 200 else (reply.status, reply.code)

    return ask


def test_parts_are_told_by_their_names(asked):
    assert asked("GET", "/api/things") == {}
    assert asked("GET", "/api/things/openai.team") == {"id": "openai.team"}
    assert asked("DELETE", "/api/things/a") == {"id": "a"}
    assert asked("POST", "/api/things/a/test") == {"id": "a"}
    assert asked("GET", "/api/things/a/parts/b") == {"id": "a", "part": "b"}


def test_what_stands_there_by_its_own_name_counts_first(asked):
    assert asked("POST", "/api/things/all") == {}


def test_an_encoded_slash_is_a_part_of_a_name(asked):
    assert asked("GET", "/api/things/a%2Fb") == {"id": "a/b"}
    assert asked("GET", "/api/things/%7Bid%7D") == {"id": "{id}"}


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/things/a/b", "/api/things//parts/b", "/api/things/a/test/x"]
)
def test_another_path_is_not_there(asked, path):
    assert asked("GET", path) == (404, "unknown_path")


def test_a_wrong_method_is_told_those_that_there_are(application: Application):
    reply = Browser(application, ROWS)("PATCH", "/api/things/a", key="writer")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, DELETE, HEAD")


def test_a_refusal_names_the_path_as_it_was_asked_for(application: Application):
    reply = Browser(application, ROWS)("GET", "/api/things/a/nothing", key="writer")
    assert "/api/things/a/nothing" in msgspec.json.decode(reply.body)["error"]["message"]
