"""Unique secrets and phrases in every place that takes one: after everything was asked, soundly and not, they are nowhere
but where they are declared to be.

`CANARY_TURNS=20 make test TEST=tests/security/test_canaries.py` goes round more often.
"""

from __future__ import annotations

import os
from pathlib import Path

from stage import TOOLS, Stage
from tour import FEW, MODELS, MOODS, converse, manage, path, rows, sign_in

TURNS = int(os.environ.get("CANARY_TURNS", "1"))
STORE = frozenset({"data/secrets"})
ECHO = frozenset(
    {f"answer to POST {path}" for path in ("/v1", "/api/chat", "/api/generate", "/api/embed", "/api/v1beta")}
)
"""Where a client hears its provider repeat the prompt that this client has sent."""
DECLARED = {
    "session cookie": frozenset({"answer to POST /api/auth/login"}),
    "shown by /api/keys": frozenset({"answer to POST /api/keys"}),
    "shown by /api/keys/{id}/rotate": frozenset({"answer to POST /api/keys/team-a/rotate"}),
    "access token": STORE,
    "refresh token": STORE,
    "typed key": STORE,
    "patched key": STORE,
    "typed proxy": STORE,
    "typed header": STORE,
    "header of a node": STORE,
    "typed into the file": frozenset({"configuration"}),
    **{f"key of {tool}": frozenset({"home/", "data/cli-tools/"}) for tool in TOOLS},
}


IN_THE_FILE = frozenset(
    {
        "configuration",
        "answer to GET",
        "answer to PUT",
        "answer to POST",
        "answer to PATCH",
        "data/sync/",
        "remote/",
        "archive of GET",
    }
)
"""Where that goes which the author of the file has written into it himself, as the question of an eval."""


def test_no_secret_and_no_prompt_is_anywhere_but_where_it_is_declared_to_be(tmp_path: Path):
    with Stage(tmp_path) as stage:
        stage.log_in()
        sign_in(stage)
        for _ in range(TURNS):
            converse(stage)
            for mood in MOODS:
                converse(stage, mood, MODELS if TURNS > 1 else FEW)
                stage.mood = mood if mood.isdigit() else "ok"
                for tested in ("/api/providers/test-batch", "/api/combos/coding/test", "/api/combos/each/test"):
                    stage.ask("POST", tested)
                stage.ask("POST", "/api/oauth/signer/refresh")
            stage.mood = "ok"
            manage(stage)
        _spoil(stage)
        declared = DECLARED | dict.fromkeys(stage.phrases, ECHO) | {"prompt 0": ECHO | IN_THE_FILE}
        found = stage.traces(declared)
        stage.answers, answers = [], stage.answers
        stage.gateway.stop()  # the log of the database is written back, and the last rows
        found += stage.traces(declared)
        stage.answers = answers
        assert sorted(set(found)) == []
        assert len(stage.secret) >= 40
        _worked(stage)


def _spoil(stage: Stage) -> None:
    """The file gets a key that does not belong there, and everything that looks at it is asked."""
    text = stage.gateway.path.read_text()
    key = stage.new("typed into the file")
    leaky = f'  leaky: {{type: openai-compatible, base_url: "http://127.0.0.1:9", connections: {{main: {{api_key: {key}}}}}}}'
    stage.gateway.path.write_text(text.replace("providers:\n", f"providers:\n{leaky}\n", 1))
    assert stage.ask("POST", "/api/config/reload").status == 422
    for where in (
        "/metrics",
        "/api/config",
        "/api/config/status",
        "/api/config/diff",
        "/api/monitoring/health",
        "/api/sync/cloud",
    ):
        stage.ask("GET", where)
    stage.ask("POST", "/api/sync/cloud", {"action": "compare"})
    stage.ask("PATCH", "/api/combos/each", {"config": {"maxRetries": 2}})


def _worked(stage: Stage) -> None:
    """That there was something to find: secrets were used, kept, and everything was asked."""
    heard = b"".join(asked.head + asked.body for asked in stage.upstream.asked)
    for name in (
        "open key",
        "gem key in a file",
        "anth header",
        "olla own header",
        "access token",
        "refresh token",
        "validated key",
    ):
        assert stage.secret[name].encode() in heard, name
    kept = (stage.gateway.folder / "data" / "secrets").read_text()
    assert stage.secret["typed key"] in kept
    assert stage.git.files() != {}
    asked = {answer.to.split(" by ")[0].partition("?")[0] for answer in stage.answers if answer.status < 400}
    missed = sorted({f"{row.method} {path(row)}" for row in rows()} - asked)
    assert len(missed) < len(rows()) / 6, missed
