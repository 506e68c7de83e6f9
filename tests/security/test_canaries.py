"""Unique secrets and phrases in every place that takes one: after everything was asked, soundly and not, they are nowhere
but where they are declared to be.

`CANARY_TURNS=20 make test TEST=tests/security/test_canaries.py` goes round more often.
"""

from __future__ import annotations

import os
from pathlib import Path

from stage import TOOLS, Stage
from tour import MOODS, converse, manage, sign_in

TURNS = int(os.environ.get("CANARY_TURNS", "1"))
STORE = frozenset({"data/secrets"})
ECHO = frozenset({f"answer to POST {path}" for path in ("/v1", "/api/chat", "/api/generate", "/api/embed", "/api/v1beta")})
"""Where a client hears its provider repeat the prompt that this client has sent."""
DECLARED = {
    "session cookie": frozenset({"answer to POST /api/auth/login"}),
    "shown by /api/keys": frozenset({"answer to POST /api/keys"}),
    "shown by /api/keys/{id}/rotate": frozenset({"answer to POST /api/keys/spare/rotate"}),
    "access token": STORE,
    "refresh token": STORE,
    "typed key": STORE,
    "patched key": STORE,
    "typed proxy": STORE,
    "typed header": STORE,
    "header of a node": STORE,
    **{f"key of {tool}": frozenset({"home/", "data/cli-tools/"}) for tool in TOOLS},
}


def test_no_secret_and_no_prompt_is_anywhere_but_where_it_is_declared_to_be(tmp_path: Path):
    with Stage(tmp_path) as stage:
        stage.log_in()
        sign_in(stage)
        for _ in range(TURNS):
            converse(stage)
            for mood in MOODS:
                converse(stage, mood)
                for path in ("/api/providers/test-batch", "/api/combos/pair/test", "/api/combos/each/test"):
                    stage.mood = mood if mood.isdigit() else "ok"
                    stage.ask("POST", path)
                stage.ask("POST", "/api/oauth/signer/refresh")
        stage.mood = "ok"
        manage(stage)
        stage.gateway.path.write_text(stage.gateway.path.read_text().replace("api_key:", f"api_key: {stage.new('typed into the file')} #", 1))
        stage.ask("POST", "/api/config/reload")
        for path in ("/api/config", "/api/config/status", "/api/config/diff", "/api/monitoring/health"):
            stage.ask("GET", path)
        found = stage.traces(DECLARED | {name: ECHO | {"configuration", "answer to GET"} for name in stage.phrases})
        stage.gateway.stop()
        found += stage.traces(DECLARED | {name: ECHO | {"configuration", "answer to GET"} for name in stage.phrases})
        statuses = sorted({answer.status for answer in stage.answers})
        print(len(stage.secret), "secrets,", len(stage.answers), "requests, statuses", statuses)
        assert len(stage.secret) >= 40
        assert sorted(set(found)) == []
