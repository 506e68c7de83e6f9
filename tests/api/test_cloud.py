"""What instances that share a configuration tell each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.managed import Managed, run

CONFIG = """\
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers:
  demo: {type: demo}
  anthropic: {connections: {max: {oauth: {client_id: an-application}}}}
aliases: {quick: demo/echo}
"""
TOKENS = {"accessToken": "at-from-elsewhere", "refreshToken": "rt-from-elsewhere", "expiresIn": 3600}


def test_tokens_of_another_instance_are_taken_and_shown_to_nobody(tmp_path: Path):
    async def test(one: Managed) -> None:
        before = await one("GET", "/api/oauth/anthropic/status")
        given = {"provider": "anthropic", "credentials": TOKENS}
        answer = await one("PUT", "/api/cloud/credentials/update", given)
        assert answer.status == 200, answer.json
        after = await one("GET", "/api/oauth/anthropic/status")
        assert before.json != after.json
        assert "from-elsewhere" not in str(answer.json) + str(after.json) + one.service.path.read_text()

    run(tmp_path, CONFIG, test)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"provider": "demo", "credentials": TOKENS}, 404),
        ({"provider": "nobody", "credentials": TOKENS}, 404),
        ({"provider": "anthropic", "connection": "other", "credentials": TOKENS}, 404),
        ({"provider": "anthropic", "credentials": {**TOKENS, "accessToken": ""}}, 400),
        ({"provider": "anthropic"}, 400),
    ],
)
def test_tokens_for_nobody_are_refused(tmp_path: Path, body: dict[str, object], status: int):
    async def test(one: Managed) -> None:
        assert (await one("PUT", "/api/cloud/credentials/update", body)).status == status

    run(tmp_path, CONFIG, test)


def test_aliases_are_told_and_set_under_this_path_too(tmp_path: Path):
    async def test(one: Managed) -> None:
        assert (await one("GET", "/api/cloud/models/alias")).json["aliases"] == {"quick": "demo/echo"}
        set_ = await one("PUT", "/api/cloud/models/alias", {"alias": "quick", "model": "demo/agent"})
        assert set_.status == 200, set_.json
        assert "quick: demo/agent" in one.service.path.read_text()

    run(tmp_path, CONFIG, test)
