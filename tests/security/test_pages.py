"""What a page of somebody else's can make a browser send, over a real socket, to every row that writes: nothing of it
changes anything. The browser of an administrator who is logged in sends his cookie along, which is all that it has.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.request
from contextlib import closing
from typing import Any

import pytest
from line import Line
from shared import PASSWORD
from stage import path_of
from support.gateway import Gateway
from tour import NAMES

from omniroute.api import ENDPOINTS

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain")
"""What a form can say of its body without a question of the browser before."""
THERE = NAMES | {
    "/api/providers/": "lab.main",
    "/api/provider-nodes/": "lab",
    "/api/combos/": "coding",
    "/api/keys/": "team-a",
}


@pytest.fixture(scope="module")
def page(gateway: Gateway) -> tuple[str, str]:
    """The cookie, and the word that only our own pages know."""
    request = urllib.request.Request(
        f"{gateway.url}/api/auth/login",
        json.dumps({"password": PASSWORD}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        return f"cookie: {cookie.partition(';')[0]}", f"x-omniroute-csrf: {json.load(reply)['csrfToken']}"


def state(gateway: Gateway) -> dict[str, str]:
    """Digests of everything that a write changes: the file, the secrets, the audit's rows, the tools' files."""
    found = {"file": hashlib.sha256(gateway.path.read_bytes()).hexdigest()}
    folders = (gateway.folder / "data", gateway.folder / "home")
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "sqlite" not in file.name:
                found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


WRITES = [
    row for row in ENDPOINTS if row.method not in ("GET", "HEAD") and row.guarded and row.path != "/api/auth/login"
]


def attacks(port: int, cookie: str, word: str) -> dict[str, tuple[str, ...]]:
    """By what is wrong with them. Each carries all that is right besides, so that it is that which is refused."""
    mine = f"host: 127.0.0.1:{port}"
    return {
        "foreign origin": (mine, cookie, word, "origin: https://evil.com"),
        "null origin": (mine, cookie, word, "origin: null"),
        "other port": (mine, cookie, word, f"origin: http://127.0.0.1:{port + 1}"),
        "other scheme name": (mine, cookie, word, f"origin: http://127.0.0.1:{port}.evil.com"),
        "cross-site": (mine, cookie, word, "sec-fetch-site: cross-site"),
        "same-site": (mine, cookie, word, "sec-fetch-site: same-site"),
        "no word": (mine, cookie),
        "empty word": (mine, cookie, "x-omniroute-csrf:"),
        "wrong word": (mine, cookie, f"x-omniroute-csrf: {'A' * 43}"),
        "word in another header": (mine, cookie, word.replace("x-omniroute-csrf", "x-csrf-token")),
        "rebound name": ("host: evil.com", cookie, word, "origin: http://evil.com"),
        "rebound name with port": (f"host: evil.com:{port}", cookie, word, f"origin: http://evil.com:{port}"),
        "rebound address": ("host: 127.0.0.1.nip.io", cookie, word),
    }


def test_no_page_of_another_origin_changes_anything(gateway: Gateway, page: tuple[str, str]):
    before, line, wrong, cases = state(gateway), Line(gateway), [], 0
    with closing(line):
        for name, headers in attacks(gateway.port, *page).items():
            for row in WRITES:
                body = json.dumps(row.told.example) if row.told.example is not None else "{}"
                status = line.status(row.method, path_of(row.path, THERE), *headers, body=_ascii(body))
                cases += 1
                if status not in (400, 403):
                    wrong.append(f"{name}: {row.method} {row.path}: {status}")
    assert wrong == []
    assert cases > 1000
    assert state(gateway) == before


@pytest.mark.parametrize("kind", FORMS)
def test_no_form_is_taken_for_json(gateway: Gateway, page: tuple[str, str], kind: str):
    """Also where everything else would be right: a body of a form is never read as JSON."""
    before, line, wrong = state(gateway), Line(gateway), []
    headers = (f"host: 127.0.0.1:{gateway.port}", *page, f"content-type: {kind}")
    with closing(line):
        for row in WRITES:
            if row.body_limit == 0 or row.path == "/api/auth/logout":
                continue
            if row.takes != "application/json":
                continue
            body = json.dumps(row.told.example) if row.told.example is not None else "{}"
            status = line.status(row.method, path_of(row.path, THERE), *headers, body=_ascii(body))
            if status != 415:
                wrong.append(f"{row.method} {row.path}: {status}")
    assert wrong == []
    assert state(gateway) == before


def test_a_login_from_another_page_is_refused_too(gateway: Gateway):
    """Else somebody could be logged in as somebody else without noticing."""
    line, body = Line(gateway), json.dumps({"password": PASSWORD})
    mine = f"host: 127.0.0.1:{gateway.port}"
    with closing(line):
        for header in ("origin: https://evil.com", "origin: null", "sec-fetch-site: cross-site"):
            assert line.status("POST", "/api/auth/login", mine, header, body=body) == 403
        assert line.status("POST", "/api/auth/login", "host: evil.com", body=body) == 403
        for kind in FORMS:
            assert line.status("POST", "/api/auth/login", mine, f"content-type: {kind}", body=body) == 415


def test_no_answer_lets_another_page_read_it(gateway: Gateway, page: tuple[str, str]):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    named = dict(header.split(": ", 1) for header in page)
    for row in ENDPOINTS:
        for method in {row.method, "OPTIONS"} - {"POST", "PUT", "PATCH", "DELETE"}:
            if row.access == "admin.write":
                continue
            headers = named | {"origin": "https://evil.com", "access-control-request-method": "PUT"}
            connection.request(method, path_of(row.path, THERE), headers=headers)
            reply = connection.getresponse()
            reply.read()
            heads: dict[str, Any] = {name.lower(): value for name, value in reply.getheaders()}
            assert not [name for name in heads if name.startswith("access-control-")], row.path
            if row.guarded:
                assert heads["cache-control"] == "no-store"
                assert heads["x-content-type-options"] == "nosniff"
    connection.close()


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
