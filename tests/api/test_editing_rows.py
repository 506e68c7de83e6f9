"""Every editable thing × everything that can be done to it, made from the rows, on a file full of comments: what the edit
is not about stays the same to the byte, and what is refused changes nothing at all."""

from __future__ import annotations

import difflib
from typing import Any

import msgspec
import pytest
from editing import Editor
from support.edited import BEFORE

from omniroute.api.crud import Resource, Section
from omniroute.api.resources import RESOURCES, SECTIONS

INVALID: dict[str, dict[str, Any]] = {
    "/api/providers": {"provider": "groq", "name": "bad", "apiKey": "gsk_1", "priority": -1},
    "/api/provider-nodes": {"prefix": "bad", "type": "openai-compatible", "baseUrl": "ftp://10.0.0.9"},
    "/api/provider-models": {"provider": "nobody", "modelId": "m"},
    "/api/models/alias": {"alias": "bad", "model": "nobody/nothing"},
    "/api/combos": {"name": "bad", "models": ["coding", "nobody/nothing"]},
    "/api/keys": {"name": "bad", "roles": ["king"]},
    "/api/policies": {"name": "bad", "rules": [{"route_to": {"model": "nobody/nothing"}}]},
}
"""Bodies of POST that would make the configuration invalid."""
WRONG: dict[str, dict[str, Any]] = {
    "/api/settings": {"allowedHosts": ["not a host!"]},
    "/api/settings/ip-filter": {"mode": "allow", "allow": ["not-an-ip"]},
    "/api/settings/thinking-budget": {"effort": "heroic"},
    "/api/settings/system-prompt": {"prompt": "x" * 100_001},
    "/api/settings/combo-defaults": {"comboDefaults": {"strategy": "fate"}},
    "/api/resilience": {"profiles": {"oauth": {"failureThreshold": 0}}},
}
"""The same of PATCH to sections."""
rows = pytest.mark.parametrize("row", RESOURCES, ids=lambda row: row.path)
sections = pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.path)


def name_of(row: Resource) -> str:
    return row.named(msgspec.convert(dict(row.example), row.body))


def at(row: Resource) -> str:
    """Where the example is found."""
    return row.path if row.by is not None else f"{row.path}/{name_of(row)}"


def gone(row: Resource) -> str:
    """Where to delete the example."""
    if row.by is None:
        return at(row)
    asked = {name: row.example[name] for name in row.by.__struct_encode_fields__ if name in row.example}
    return f"{row.path}?{'&'.join(f'{name}={value}' for name, value in asked.items())}"


def also(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


def changes(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went, and those that came."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return [line[2:] for line in lines if line.startswith("- ")], [line[2:] for line in lines if line.startswith("+ ")]


def inner(row: Resource, answer: Any) -> Any:
    return answer[row.one] if row.one else answer


def create(editor: Editor, row: Resource) -> Any:
    reply = editor.do("POST", row.path, row.example)
    assert reply.status == 201, reply.body
    return inner(row, reply.json)


@rows
def test_a_new_one_adds_lines_and_touches_none(editor: Editor, row: Resource):
    before = editor.text
    reply = editor.do("POST", row.path, row.example)
    assert reply.status == 201, reply.body
    went, came = changes(before, editor.text)
    assert (went, reply.json["rewritten"]) == ([], [])
    assert came
    assert reply.json["revision"] == editor.service.live.current.revision.label == reply.headers["x-omniroute-config"]
    if row.by is None:
        got = editor.do("GET", at(row))
        assert (got.status, got.headers["etag"]) == (200, reply.headers["etag"])
        shown = inner(row, got.json)
        assert shown.items() <= inner(row, reply.json).items()
    assert editor.service.live.problems == ()


@rows
def test_one_that_is_there_is_not_made_again(editor: Editor, row: Resource):
    create(editor, row)
    before, secrets = editor.text, editor.secrets
    reply = editor.do("POST", row.path, row.example)
    assert (reply.status, reply.code) == (409, "exists")
    assert (editor.text, editor.secrets) == (before, secrets)


@rows
def test_a_deletion_takes_away_what_the_creation_had_added(editor: Editor, row: Resource):
    before = editor.text
    create(editor, row)
    reply = editor.do("DELETE", gone(row))
    assert (reply.status, reply.json["success"]) == (200, True), reply.body
    assert editor.do("DELETE", gone(row)).status == 404
    went, came = changes(before, editor.text)
    assert went == []
    assert all(line.strip() in ("", "groq:", "connections: {}") for line in came), came
    assert editor.secrets == []


@rows
def test_a_patch_changes_the_lines_that_differ_and_no_others(editor: Editor, row: Resource):
    create(editor, row)
    if row.by is None and "PATCH" not in row.verbs:
        return
    before = editor.text
    method = "PATCH" if "PATCH" in row.verbs else "PUT"
    reply = editor.do(method, at(row), row.change)
    assert reply.status == 200, reply.body
    went, came = changes(before, editor.text)
    leaves = msgspec.json.encode(row.change).count(b":")
    assert 0 < len(went) + len(came) <= 3 * leaves
    assert reply.json["rewritten"] == []
    again = editor.do(method, at(row), row.change)
    assert (again.status, again.json["revision"]) == (200, reply.json["revision"])


@rows
def test_what_was_read_may_be_sent_back_and_changes_nothing(editor: Editor, row: Resource):
    shown = create(editor, row)
    for told in ("revision", "rewritten", "key"):
        shown.pop(told, None)
    before = editor.text
    for method in sorted({"PUT", "PATCH"} & row.verbs):
        reply = editor.do(method, at(row), shown)
        assert reply.status == 200, reply.body
        assert editor.text == before


@rows
def test_a_trial_tells_what_would_be_and_writes_nothing(editor: Editor, row: Resource):
    before = editor.text
    reply = editor.do("POST", also(row.path, "dry_run=1"), row.example)
    assert (reply.status, reply.json["dryRun"]) == (200, True), reply.body
    assert reply.json["diff"].startswith("--- a/config/omniroute.yaml\n+++ b/config/omniroute.yaml\n@@")
    assert not list((editor.folder / "data").glob("secrets*"))
    assert editor.text == before
    create(editor, row)
    before, revision = editor.text, editor.service.live.current.revision.label
    method = "PATCH" if "PATCH" in row.verbs else "PUT"
    for verb, where, body in ((method, at(row), row.change), ("DELETE", gone(row), None)):
        reply = editor.do(verb, also(where, "dry_run=1"), body)
        assert (reply.status, reply.json["dryRun"], reply.json["revision"]) == (200, True, revision), reply.body
        assert "\n-" in reply.json["diff"] or "\n+" in reply.json["diff"]
        assert editor.text == before


@rows
def test_a_stale_write_is_refused_with_what_there_is_now(editor: Editor, row: Resource):
    create(editor, row)
    before = editor.text
    stale = '"00000000000000000000000000000000"'
    for verb, where, body in (
        ("PUT", at(row), row.example if row.by else row.change),
        ("PATCH", at(row), row.change),
        ("POST", row.path, row.example),
        ("DELETE", gone(row), None),
    ):
        if verb not in row.verbs | {"POST"}:
            continue
        reply = editor.do(verb, where, body, if_match=stale)
        assert reply.status == 412, (verb, reply.body)
        assert reply.json["etag"] == reply.headers["etag"]
        assert reply.json["error"]["code"] == "stale_edit"
        assert reply.json["current"] or verb == "POST"
        assert editor.text == before
        if verb == "DELETE":
            assert editor.do(verb, where, body, if_match=reply.headers["etag"]).status == 200


@rows
def test_locked_files_are_left_alone_and_the_diff_is_told(editor: Editor, row: Resource):
    locked = editor.text.replace("version: 1\n", "version: 1\nmode: locked\n")
    editor.path.write_text(locked)
    assert editor.do("POST", "/api/config/reload").status == 200
    reply = editor.do("POST", row.path, row.example)
    assert (reply.status, reply.code) == (409, "config_locked")
    assert "\n+" in reply.json["diff"]
    assert editor.text == locked
    assert editor.secrets == []
    assert editor.do("POST", also(row.path, "dry_run=1"), row.example).status == 200


@rows
def test_what_would_be_invalid_changes_nothing_and_names_the_place(editor: Editor, row: Resource):
    before = editor.text
    reply = editor.do("POST", row.path, INVALID[row.path])
    assert (reply.status, reply.code) == (422, "config_invalid"), reply.body
    problem = reply.json["error"]["problems"][0]
    assert problem["severity"] == "error"
    assert problem["line"] > 1
    assert problem["message"]
    assert (editor.text, editor.secrets) == (before, [])
    assert editor.service.live.problems == ()


@rows
def test_a_body_of_another_form_is_a_bad_request(editor: Editor, row: Resource):
    for body in ({**row.example, "no_such_field": 1}, {name: {"a": []} for name in row.example}, {}):
        reply = editor.do("POST", row.path, body)
        assert (reply.status, reply.code) == (400, "invalid_body"), (body, reply.body)


@rows
def test_strict_files_want_to_know_what_a_write_was_made_from(editor: Editor, row: Resource):
    strict = editor.text.replace("auth:\n", "auth:\n  strict_writes: true\n")
    editor.path.write_text(strict)
    assert editor.do("POST", "/api/config/reload").status == 200
    reply = editor.do("POST", row.path, row.example)
    assert (reply.status, reply.code) == (428, "if_match_missing")
    assert editor.text == strict
    tag = editor.tag(row.path)
    assert editor.do("POST", row.path, row.example, if_match=tag).status == 201
    assert editor.do("POST", row.path, {**row.example}, if_match=tag).status == 412


@rows
def test_every_write_is_written_down_with_its_diff(editor: Editor, row: Resource):
    create(editor, row)
    editor.do("DELETE", gone(row))
    editor.do("POST", row.path, INVALID[row.path])
    entries = audited(editor)
    assert [(entry.action, entry.outcome) for entry in entries] == [
        (f"{row.many}.create", "done"),
        (f"{row.many}.delete", "done"),
        (f"{row.many}.create", "refused"),
    ]
    assert all((entry.actor, entry.via) == ("editor", "key") for entry in entries)
    assert entries[0].target == name_of(row)
    assert "\n+" in entries[0].diff
    assert "\n-" in entries[1].diff
    assert b"gsk_" not in msgspec.json.encode(entries)


def audited(editor: Editor) -> list[Any]:
    from omniroute.state.audit import Wanted

    found, _ = editor.service.state.audit.page(Wanted())
    return [one.entry for one in reversed(found)]


@sections
def test_settings_change_where_they_differ(editor: Editor, section: Section):
    before = editor.text
    reply = editor.do("PATCH", section.path, section.change)
    assert reply.status == 200, reply.body
    went, came = changes(before, editor.text)
    comments = [line.partition("#")[2] for line in came]
    assert all(line.partition("#")[2] in comments for line in went if "#" in line)
    assert reply.headers["etag"] == editor.tag(section.path)
    shown = editor.do("GET", section.path).json
    after = editor.text
    for method in section.verbs:
        assert editor.do(method, section.path, shown).status == 200
        assert editor.text == after


@sections
def test_settings_are_tried_guarded_and_locked_like_all_else(editor: Editor, section: Section):
    before = editor.text
    for method in section.verbs:
        trial = editor.do(method, also(section.path, "dry_run=1"), section.change)
        assert (trial.status, trial.json["dryRun"]) == (200, True)
        assert trial.json["diff"]
        stale = editor.do(method, section.path, section.change, if_match='"x"')
        assert (stale.status, stale.json["etag"]) == (412, editor.tag(section.path))
        wrong = editor.do(method, section.path, WRONG[section.path])
        assert (wrong.status, bool(wrong.json["error"]["problems"])) == (422, True), wrong.body
        assert editor.do(method, section.path, {"noSuchField": 1}).status == 400
        assert editor.text == before
    assert editor.do("PUT", section.path, section.change, if_match=editor.tag(section.path)).status == 200


def test_the_file_begins_with_comments_in_every_corner():
    assert BEFORE.count("#") > 15
