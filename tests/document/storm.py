"""Random edits of hand-formatted files, and the law for each: the data is exactly as intended, and every byte outside of
the edited entry is the same.

The law is checked by other means than those of the editor: the file is read again from its bytes, the intended data is
computed by plain copying, and how far an entry reaches is told by the marks of its leaves and the comments around it.

    python tests/document/storm.py [COUNT] [SEED]     as many edits as you like; prints what became of them
"""

from __future__ import annotations

import copy
import random
import re
import sys
from collections import Counter
from pathlib import Path

import msgspec
import yaml

from omniroute.document import Delete, Document, Insert, Rename, Set, apply, dotted
from omniroute.errors import EditRefused

ROOT = Path(__file__).resolve().parents[2]
TEXTS = (
    "demo/echo", "demo/*", "*", "&x", "!x", "a: b", "a:b", ":", "#", "a #b", "a#b", "", " ", " lead", "trail ", "true", "012",
    "22:22", "null", "~", "yes", "-", "- a", "-a", "--- a", "...", "? a", "?", "{", "}", "[a", "a, b", "a]", "'", '"', "it's",
    'say "hi"', "\\", "a\\nb", "%", "@", "`", "|", ">", "<<", "=", "1e3", ".5", "1.0", "7", "-7", "0x1f", "${env:KEY}",
    "grün", "日本", "🚀", "a\nb", "a\nb\n", "a\n\nb\n\n", "\n", "\na", "  a\nb", "a\n  b\n", "a \nb", "a\tb", "\ta", "a\r\nb",
    "\x07", "\x85", "\u2028", "\u200b", "\ufeff", "x" * 300, "2027-06-30", "http://x:80/a?b=c#d", "# c\n# d\n", "a: |\n  b\n",
)  # fmt: skip
NAMES = (
    "a", "new", "x y", "true", "012", "a: b", "#", "*", "demo-*", "", "grün", "🚀", "-", "?", "it's", "a,b", "<<", "1", "y",
    "a\nb", "[", "null", "~", "x" * 150,
)  # fmt: skip


def big(lines: int) -> str:
    """A file of that many lines."""
    parts = ["version: 1", "providers:"]
    number = 0
    while len(parts) < lines:
        number += 1
        parts += [
            f"  node-{number}:  # number {number}",
            "    type: openai-compatible",
            f"    base_url: http://10.0.0.{number % 250}:8000/v1",
            "    connections:",
            f'      main: {{api_key: "${{env:KEY_{number}}}"}}   # rotated in June',
            "    # what it serves",
            "    models:",
            f"      model-{number}: {{context: 32768, capabilities: [tools, reasoning]}}",
            "",
        ]
    return "\n".join(parts[:lines]) + "\n"


def corpus() -> dict[str, bytes]:
    """All files, by name."""
    paths = [
        *sorted((ROOT / "tests/document/corpus").glob("*.yaml")),
        ROOT / "config/omniroute.yaml",
        *sorted((ROOT / "policies").glob("*.yaml")),
        *(path for path in sorted((ROOT / "examples").rglob("*.yaml")) if b"\n---\n" not in path.read_bytes()),
        *sorted((ROOT / "tests/config/good").rglob("*.yaml")),
    ]
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in paths} | {"big": big(300).encode()}


# ------------------------------------------------------------------------------------------------------------ the edits


def value(chance: random.Random, depth: int = 0):
    kind = chance.random()
    if kind < 0.55 or depth > 2:
        return chance.choice(TEXTS)
    if kind < 0.7:
        return chance.choice((0, 1, -7, 20128, 0.5, -1.25, 1e-7, 1e10, True, False, None, 10**17))
    if kind < 0.85:
        return {chance.choice(NAMES): value(chance, depth + 1) for _ in range(chance.randrange(4))}
    return [value(chance, depth + 1) for _ in range(chance.randrange(4))]


def places(data, path=()):
    """Every place in the data."""
    if isinstance(data, dict | list):
        for step, each in data.items() if isinstance(data, dict) else enumerate(data):
            yield (*path, step)
            yield from places(each, (*path, step))


def at(data, path):
    for step in path:
        data = data[step]
    return data


def edit(chance: random.Random, data):
    """A random edit that can be made of this data."""
    known = list(places(data))
    path = chance.choice([(), *known])
    kind = chance.random()
    here = at(data, path)
    if isinstance(here, dict) and (kind < 0.5 or not path):
        return Set((*path, chance.choice(NAMES)), value(chance))
    if isinstance(here, list) and kind < 0.5:
        return chance.choice((Set, Insert))(
            (*path, len(here) if kind < 0.2 else chance.randrange(len(here) + 1)), value(chance)
        )
    if kind < 0.7:
        return Delete(path)
    if kind < 0.75 and isinstance(path[-1], str):
        name = chance.choice(NAMES)
        return Set(path, value(chance)) if name in at(data, path[:-1]) else Rename(path, name)
    return Set(path, value(chance))


def intended(data, what):
    """The data as the edit is to make it."""
    data = copy.deepcopy(data)
    for _ in range(3):  # an alias stands for data of its own
        data = msgspec.json.decode(msgspec.json.encode(data))
    parent, step = at(data, what.path[:-1]), what.path[-1]
    match what:
        case Set() if isinstance(parent, list) and step == len(parent):
            parent.append(what.value)
        case Set():
            parent[step] = what.value
        case Insert():
            parent.insert(step, what.value)
        case Delete():
            del parent[step]
        case Rename():
            pairs = [(what.name if name == step else name, each) for name, each in parent.items()]
            parent.clear()
            parent.update(pairs)
    return data


# --------------------------------------------------------------------------------------------------------------- the law


def step_node(node, step):
    """The node of a key, if there is one, and that of a value."""
    if isinstance(step, int):
        return None, node.value[step]
    return next((name, each) for name, each in node.value if name.value == step)


def leaf_end(text: str, node) -> int:
    """Where the last leaf under a node ends."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        inner = [leaf_end(text, each) for pair in node.value for each in (pair if isinstance(pair, tuple) else (pair,))]
        return max(inner)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        whole = text[node.start_mark.index : node.end_mark.index]
        return node.start_mark.index + len(whole.rstrip("\r\n ") if "+" not in whole.split("\n")[0] else whole)
    return node.end_mark.index


def line_of(text: str, index: int) -> int:
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def line_end(text: str, index: int) -> int:
    found = re.compile(r"[\r\n]").search(text, index)
    return found.start() if found else len(text)


def extent(text: str, root, path) -> tuple[int, int]:
    """The characters of an entry, with its comments above, on its last line, and below it where they are indented
    further. None of its ancestors may be an alias."""
    node = root
    for step in path:
        parent, (key, node) = node, step_node(node, step)
    if parent.flow_style:
        return (key or node).start_mark.index, max(node.end_mark.index, (key or node).end_mark.index)
    first = (key or node).start_mark.index
    start = line_of(text, first)
    column = first - start if key is not None else parent.start_mark.column
    end = max(leaf_end(text, node), (key or node).end_mark.index)
    if key is None:  # the dash may stand on a line above
        while not re.match(rf".{{{column}}}-", text[start:]) and start:
            start = line_of(text, start - 1)
    while start and (above := re.fullmatch(r"( *)#.*", text[line_of(text, start - 1) : start].rstrip("\r\n"))):
        if len(above[1]) != column and len(above[1]) <= column:
            break
        start = line_of(text, start - 1)
    if text[end - 1 : end] in ("\n", "\r"):
        return start, end
    end = line_end(text, end)
    below = end
    while below < len(text):
        following = re.compile(r"\r\n|\r|\n").match(text, below).end()
        below = line_end(text, following)
        line = text[following:below]
        if re.match(r" *#", line) and len(line) - len(line.lstrip(" ")) > column:
            end = below
        elif line.strip():
            break
    return start, end


def has_aliases(root) -> bool:
    seen, waiting = set(), [root] if root is not None else []
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            return True
        seen.add(id(node))
        if isinstance(node, yaml.CollectionNode):
            waiting += [each for pair in node.value for each in (pair if isinstance(pair, tuple) else (pair,))]
    return False


def allowed(document: Document, what, rewritten) -> tuple[int, int]:
    """Between which characters the old text may have changed."""
    text, root, data = document.text, document.root, document.data
    if rewritten:
        path = next(each for each in places(data) if dotted(each) == rewritten[0])
        return extent(text, root, path)
    path = what.path
    while len(path) > 1 and not at(data, path[:-1]):  # new in what is empty
        path = path[:-1]
    container = at(data, path[:-1])
    there = path[-1] in container if isinstance(container, dict) else path[-1] < len(container)
    if isinstance(what, Set) and there:
        key, node = step_node(node_at(root, path[:-1]), path[-1])
        scalar = isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">") and node.value
        one_line = not isinstance(what.value, dict | list) and "\n" not in str(what.value)
        if scalar and one_line and path == what.path:
            return node.start_mark.index, node.end_mark.index
        return extent(text, root, path)
    if isinstance(what, Rename):
        key, _ = step_node(node_at(root, path[:-1]), path[-1])
        return key.start_mark.index, key.end_mark.index
    if root is None or not root.value or len(path) == 1:
        return 0, len(text)
    return extent(text, root, path[:-1])


def node_at(root, path):
    for step in path:
        _, root = step_node(root, step)
    return root


def same_ends(old: str, new: str) -> tuple[int, int]:
    """How many characters are the same at the beginning, and how many of the rest at the end."""
    shorter = min(len(old), len(new))
    head = next((index for index in range(shorter) if old[index] != new[index]), shorter)
    tail = next((index for index in range(shorter - head) if old[-1 - index] != new[-1 - index]), shorter - head)
    return head, tail


def check(document: Document, what, made) -> None:
    """Fails where the law is broken."""
    again = Document.parse(made.document.content, document.name)
    assert msgspec.json.encode(again.data) == msgspec.json.encode(intended(document.data, what)), "other data"
    old, new = document.text, made.text
    assert document.content.startswith(b"\xef\xbb\xbf") == made.document.content.startswith(b"\xef\xbb\xbf"), "the mark"
    head, tail = same_ends(old, new)
    if not made.rewritten:
        container = at(document.data, what.path[:-1])
        there = what.path[-1] in container if isinstance(container, dict) else what.path[-1] < len(container)
        in_flow = document.root is not None and node_at(document.root, what.path[:-1]).__dict__.get("flow_style", True)
        if container and not in_flow:
            if isinstance(what, Insert) or not there:
                assert head + tail >= len(old), "more than an insertion"
            if isinstance(what, Delete) and len(container) > 1:
                assert head + tail >= len(new) - 1, "more than a deletion"
    if document.root is not None and not has_aliases(document.root):
        start, end = allowed(document, what, made.rewritten)
        assert old[:start] == new[:start], "something before it"
        assert not old[end:] or new.endswith(old[end:]), "something behind it"


def storm(count: int, seed: int = 0, *, verbose: bool = False) -> Counter:
    """So many edits; what became of them. Raises where one made a wrong file."""
    chance = random.Random(seed)
    files = corpus()
    documents = {name: Document.parse(content, name) for name, content in files.items()}
    fates: Counter = Counter()
    for number in range(count):
        name = chance.choice(list(files))
        document = documents[name]
        what = edit(chance, document.data)
        try:
            made = apply(document, [what])
        except EditRefused as error:
            fates["refused"] += 1
            if not has_aliases(document.root):
                raise AssertionError(f"edit {number} of {name}: {what}") from error
            continue
        try:
            check(document, what, made)
        except AssertionError as error:
            raise AssertionError(f"edit {number} of {name}: {what}: {error}\n{made.rewritten}\n{made.text}") from error
        fates["rewritten" if made.rewritten else "spliced"] += 1
        if verbose and made.rewritten:
            print(name, what, made.rewritten)
        if chance.random() < 0.7 and len(made.text) < 40_000 and len(made.text) < 3 * len(files[name]) + 300:
            documents[name] = made.document  # the next edit is one of what this one made
        elif chance.random() < 0.3:
            documents[name] = Document.parse(files[name], name)
    return fates


if __name__ == "__main__":
    print(dict(storm(int((sys.argv[1:] or ["2000"])[0]), int((sys.argv[2:] or ["0"])[0]), verbose="-v" in sys.argv)))
