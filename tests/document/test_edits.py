"""Edits that leave everything else as it is: files of before, edit and after, and a storm of random ones."""

from __future__ import annotations

import random
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import storm

from omniroute.document import Delete, Document, Insert, Rename, Set, apply, differences, unified
from omniroute.errors import BadRequest, EditRefused, NotFound

CASES = sorted((Path(__file__).parent / "edits").glob("*.yaml"))
_case = re.compile(
    r"(.*?)^--- edit ?([^\n]*)\n(.*?)^--- after(?:, rewritten ([^\n]*))?\n(.*)", re.DOTALL | re.MULTILINE
)


def as_said(text: str, said: str) -> bytes:
    """A part of a case as the file that it stands for."""
    if "without final newline" in said:
        text = text.removesuffix("\n")
    if "with CRLF" in said:
        text = text.replace("\n", "\r\n")
    return text.encode("utf-8-sig" if "byte order mark" in said else "utf-8")


def parts(file: Path) -> tuple[bytes, list, tuple[str, ...], bytes, str]:
    match = _case.fullmatch(file.read_text())
    assert match, file
    before, said, edits, rewritten, after = match.groups()
    parsed = Document.parse(f"edits:\n{edits}", "edits").data["edits"]
    return (
        as_said(before, said),
        [made(each) for each in parsed],
        tuple((rewritten or "").split()),
        as_said(after, said),
        said,
    )


def made(row: dict) -> Set | Insert | Delete | Rename:
    match row:
        case {"set": path, "value": value}:
            return Set(tuple(path), value)
        case {"insert": path, "value": value}:
            return Insert(tuple(path), value)
        case {"rename": path, "name": name}:
            return Rename(tuple(path), name)
        case {"delete": path}:
            return Delete(tuple(path))
    raise AssertionError(row)


def outcome(file: Path) -> tuple[str, tuple[str, ...]]:
    """What an edit of a case makes, as its last part would say it."""
    before, edits, _, _, said = parts(file)
    done = apply(Document.parse(before, file.name), edits)
    text = done.document.content.decode("utf-8-sig").replace("\r\n", "\n")
    return text + "\n" * ("without final newline" in said), done.rewritten


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_an_edit_changes_its_entry_and_no_other_byte(file):
    before, edits, rewritten, after, _ = parts(file)
    done = apply(Document.parse(before, file.name), edits)
    assert done.document.content == after
    assert done.rewritten == rewritten


# ------------------------------------------------------------------------------------------------------------- the storm


@pytest.mark.parametrize("seed", range(4))
def test_random_edits_of_all_files_make_no_wrong_one(seed):
    fates = storm.storm(500, seed)
    assert fates["spliced"] > 450
    assert fates["rewritten"] < 10


def test_several_edits_at_once_make_what_they_make_one_after_the_other():
    chance = random.Random(7)
    for name, content in storm.corpus().items():
        document = Document.parse(content, name)
        data, edits = document.data, []
        for _ in range(4):
            edits.append(storm.edit(chance, data))
            data = storm.intended(data, edits[-1])
        try:
            done = apply(document, edits)
        except EditRefused:
            assert storm.has_aliases(document.root)
            continue
        assert storm.msgspec.json.encode(done.document.data) == storm.msgspec.json.encode(data), name


def test_differences_of_random_data_lead_from_one_to_the_other():
    chance = random.Random(11)
    for name, content in storm.corpus().items():
        document = Document.parse(content, name)
        if document.root is None or storm.has_aliases(document.root):
            continue
        data = document.data
        for _ in range(5):
            data = storm.intended(data, storm.edit(chance, data))
        assert apply(document, differences(document.data, data)).document.data == data, name


# ----------------------------------------------------------------------------------------------------------- differences


@pytest.mark.parametrize(
    ("old", "new", "edits"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1.0}, [Set(("a",), 1.0)]),
        ({"a": 1}, {"a": True}, [Set(("a",), True)]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        (
            {"a": {"b": 1, "c": 2}},
            {"a": {"b": 3, "d": 4}},
            [Set(("a", "b"), 3), Set(("a", "d"), 4), Delete(("a", "c"))],
        ),
        ({"a": {"b": 1}}, {"a": {}}, [Set(("a",), {})]),
        ({"l": [1, 2]}, {"l": [1, 2, 3]}, [Insert(("l", 2), 3)]),
        ({"l": [1, 2, 3]}, {"l": [1, 3]}, [Delete(("l", 1))]),
        ({"l": [1, 2, 3]}, {"l": [0, 1, 2, 3]}, [Insert(("l", 0), 0)]),
        ({"l": [{"m": 1, "n": 2}, 5]}, {"l": [{"m": 1, "n": 3}, 5]}, [Set(("l", 0, "n"), 3)]),
        ({"l": [1, 2, 3, 4]}, {"l": [9, 3]}, [Delete(("l", 3)), Delete(("l", 1)), Set(("l", 0), 9)]),
        ({"l": [1]}, {"l": []}, [Set(("l",), [])]),
        ({"l": [1]}, {"l": "x"}, [Set(("l",), "x")]),
    ],
    ids=str,
)
def test_differences_are_the_leaves_that_differ(old, new, edits):
    assert differences(old, new) == edits


def test_a_new_whole_changes_only_the_lines_that_differ():
    text = "combos:\n  a:  # ours\n    targets:\n      - x  # one\n      - y  # two\n      - z  # three\n    strategy: random\n"
    document = Document.parse(text, "f.yaml")
    new = {"targets": ["x", "z", "w"], "strategy": "random", "sticky": "session"}
    done = apply(document, differences(document.data["combos"]["a"], new, ("combos", "a")))
    assert done.text == (
        "combos:\n  a:  # ours\n    targets:\n      - x  # one\n      - z  # three\n      - w\n    strategy: random\n"
        "    sticky: session\n"
    )


# ------------------------------------------------------------------------------------------------------------- the diffs


def test_diffs_of_random_edits_are_such_as_git_takes(tmp_path):
    chance = random.Random(5)
    for number, (name, content) in enumerate(storm.corpus().items()):
        old = Document.parse(content, name)
        if "password" in old.text or "api_key" in old.text:  # a blacked-out line does not apply
            continue
        new = old
        for _ in range(3):
            with suppress(EditRefused):
                new = apply(new, [storm.edit(chance, new.data)]).document
        shown = unified(old, new, f"{number}.yaml")
        assert bool(shown) == (old.content != new.content)
        if shown and "****" not in shown and old.content:
            (tmp_path / f"{number}.yaml").write_bytes(old.content)
            (tmp_path / "diff").write_bytes(shown.encode())
            subprocess.run(["git", "apply", "diff"], cwd=tmp_path, check=True)
            assert (tmp_path / f"{number}.yaml").read_bytes() == new.content, name


def test_a_diff_blacks_secrets_out_in_all_of_their_lines():
    text = 'a: 1\npassword_hash: "CANARY\n  CANARY"\nconnections:\n  main: {api_key: CANARY-CANARY}\n'
    shown = unified(Document(text, "f"), Document(text.replace("a: 1", "a: 2"), "f"), "f.yaml")
    assert "CANARY" not in shown
    assert shown.startswith("--- a/f.yaml\n+++ b/f.yaml\n@@ -1,4 +1,4 @@\n-a: 1\n+a: 2\n")


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (Set(("c", "b"), 2), 2),
        (Set(("a", "b"), 2), 1),
        (Set(("a",), 2), 1),
        (Delete(("a",)), 1),
        (Set(("l", 0, "b"), 2), 4),
    ],
    ids=str,
)
def test_an_edit_inside_of_what_stands_in_several_places_is_refused_with_its_line(edit, line):
    document = Document.parse("a: &x {b: 1}\nc: *x\nl:\n  - *x\n", "f.yaml")
    with pytest.raises(EditRefused) as caught:
        apply(document, [edit, Set(("new",), 1)])
    assert caught.value.line == line
    assert caught.value.fault.status == 409
    assert f"f.yaml:{line}:" in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (Delete(("z",)), NotFound),
        (Delete(("a", "z")), NotFound),
        (Set(("l", 3), 1), NotFound),
        (Set(("l", -1), 1), NotFound),
        (Set(("a", "b", "c"), 1), NotFound),
        (Set(("a", 0), 1), NotFound),
        (Rename(("z",), "y"), NotFound),
        (Rename(("a",), "l"), BadRequest),
        (Rename(("l", 0), "x"), BadRequest),
        (Insert(("a", "b"), 1), BadRequest),
        (Set((), {}), BadRequest),
        (Set(("a", "b"), float("nan")), BadRequest),
        (Set(("a", "b"), 10**18), BadRequest),
        (Set(("a", "b"), "\ud800"), BadRequest),
        (Set(("a", "b"), {1: 2}), BadRequest),
        (Set(("a", "b"), b"x"), BadRequest),
        (Set(("a", "k" * 1001), 1), BadRequest),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_as_what_it_is(edit, error):
    document = Document.parse("a: {b: 1}\nl:\n  - 1\n", "f.yaml")
    with pytest.raises(error):
        apply(document, [edit])
    with pytest.raises(error):
        apply(document, [Set(("a", "n"), 1), edit])


def test_the_document_itself_stays_as_it_was():
    document = Document.parse("a: 1\n", "f.yaml")
    assert document.set(("a",), 2).text == "a: 2\n"
    assert document.delete(("a",)).text == ""
    assert (document.text, document.data) == ("a: 1\n", {"a": 1})


def test_an_edit_of_a_leaf_in_a_long_file_takes_as_long_as_reading_it_again():
    document = Document.parse(storm.big(2000), "f.yaml")
    paths = [("providers", f"node-{number}", "base_url") for number in (1, 100, 200)]
    started = time.process_time()
    for path in paths:
        assert document.set(path, "http://10.9.9.9:8000/v1").text.count("10.9.9.9") == 1
    assert (time.process_time() - started) / 3 < 0.120
    started = time.process_time()
    apply(document, [Set(path, "http://10.9.9.9:8000/v1") for path in paths])
    assert time.process_time() - started < 0.150
