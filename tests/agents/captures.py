"""What a tool sent, as a file that can be reviewed and replayed: its shape, without what changes from run to run.

Long texts are cut: they are the tool's own instructions to its model, of which a gateway has to know no more than that
they are long. What names a run, a machine or a key is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.tools import Desk
from agents.turns import WORD
from support.upstream import Asked

FOLDER = Path(__file__).parent / "captures"
LONGEST = 40
VOLATILE = re.compile(
    r"authorization|content-length|host|user-agent|x-(api-key|goog-api-(key|client)|client-request-id|codex-turn-metadata)|"
    r"x-stainless-(arch|os|runtime-version)|.*-id"
)
"""Headers that tell of the machine, the run or the key."""
HASHED = {"client_metadata"}
"""Objects whose names come in another order each time."""
_names = (
    (
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        "00000000-0000-4000-8000-000000000000",
    ),
    (re.compile(r"\b[0-9a-f]{64}\b"), "0" * 64),
    (re.compile(r"(?<=_)[0-9a-f]{28}(?=_)"), "0" * 28),
    (re.compile(r"(?<=Chunk ID: )[0-9a-f]{6}"), "0" * 6),
    (re.compile(r"(?<=Wall time: )[0-9.]+"), "0.0000"),
    (re.compile(r"\b1[0-9]{12}\b"), "1" + "0" * 12),
    (WORD, "walrus-00000000"),
)


def captured(desk: Desk, asked: Asked) -> str:
    """The request as a capture has it."""
    headers = {name: "…" if VOLATILE.fullmatch(name) else value for name, value in sorted(asked.headers.items())}
    whole = {"method": asked.method, "path": asked.path, "headers": headers, "body": _plain(desk, asked.json)}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _plain(desk: Desk, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(desk, dict(sorted(one.items())) if name in HASHED else one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(desk, item) for item in value]
    return _cut(desk, value) if isinstance(value, str) else value


def _cut(desk: Desk, text: str) -> str:
    for folder, name in ((desk.work, "/work"), (desk.home, "/home")):
        text = text.replace(str(folder), name)
    for pattern, name in _names:
        text = pattern.sub(name, text)
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + "…"


def stored() -> Iterator[tuple[str, Any]]:
    """All captures: the tool with the number, and what was sent."""
    for path in sorted(FOLDER.glob("*/[0-9]*.json")):
        yield f"{path.parent.name}/{path.stem}", json.loads(path.read_text())
