"""Three hundred ways to spoil a configuration: each is refused in words, or is still sound; nothing else happens."""

import copy
import random
import time
from pathlib import Path

import msgspec
import pytest
import yaml
from test_config_reference import in_full

from omniroute import catalog
from omniroute.config import bundle, report, schema
from omniroute.config.problems import CODES
from omniroute.config.spec import Spec
from omniroute.document import Document
from omniroute.errors import ConfigError

COUNT = 300
CANARY = "canary-value-9f31c2d7"
POLICIES = sorted((Path(__file__).parents[2] / "policies").glob("*.yaml"))
ODD = (
    None, True, False, 0, -1, 1, 3.5, 10**17, "", " ", "x", "a/b", "a b", "\n", "*", "**", "${env:X}", "${file:/x}", "ü",
    "x" * 5000, [], {}, [[]], [None], {"": ""}, {"x": {"y": {}}}, "1e400", "\x1b[31m", "demo/echo", "coding", "fast",
)  # fmt: skip


def base():
    data = Document.parse(in_full(), "base").data
    del data["include"]
    data["policies"] = {}
    for file in POLICIES:
        data["policies"] |= Document.parse(file.read_text(), file.name).data["policies"]
    return data


def spots(node):
    """Every container with every key or index in it."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from spots(value)


def mutate(data, dice):
    holder, key = dice.choice(list(spots(data)))
    match dice.randrange(9):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            letters = list(key)
            dice.shuffle(letters)
            holder["".join(letters)] = holder.pop(key)
        case 2 if isinstance(holder, dict):
            holder[f"{key}x"] = copy.deepcopy(holder[key])
        case 3 if isinstance(holder[key], str):
            holder[key] = holder[key][:-1]
        case 4 if isinstance(holder[key], str):
            holder[key] = f"{holder[key]}z"
        case 5:
            other, place = dice.choice(list(spots(data)))
            holder[key] = copy.deepcopy(other[place])
        case 6:
            holder[key] = [holder[key]]
        case 7:
            holder[key] = {"value": holder[key]}
        case _:
            holder[key] = copy.deepcopy(dice.choice(ODD))


def plant(data):
    """A literal secret in every place for one that is still there."""
    planted = False
    for holder, key in list(spots(data)):
        if key in {"api_key", "password_hash"} and isinstance(holder[key], str):
            holder[key] = CANARY
            planted = True
    return planted


def write(folder, data):
    file = folder / "main.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None))
    return file


def spoiled(seed):
    dice = random.Random(seed)
    data = base()
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        mutate(data, dice)
    return data


def judge(file):
    """The problems of a file, errors or warnings, and whether it is refused."""
    try:
        return bundle.read(file, catalog.load()).warnings, False
    except ConfigError as error:
        return error.problems, True


def test_what_is_not_spoiled_is_sound(tmp_path):
    assert judge(write(tmp_path, base())) == ((), False)


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_spoiled_configuration_is_refused_in_words_or_still_sound(tmp_path, seed):
    file = write(tmp_path, spoiled(seed))
    started = time.perf_counter()
    problems, refused = judge(file)
    assert time.perf_counter() - started < 5
    assert not refused or any(problem.severity == "error" for problem in problems)
    lines = file.read_text().count("\n") + 1
    for problem in problems:
        assert problem.code in CODES
        assert problem.file == str(file)
        assert 0 < problem.line <= lines
        assert problem.col > 0
        assert problem.message.isprintable()
    for form in report.FORMS.values():
        assert "\x1b" not in form(problems, False)
    agree(file)


def agree(file):
    """The quick check and the schema, on whatever came out."""
    try:
        document = Document.parse(file.read_bytes(), file.name)
    except ConfigError:
        return
    try:
        msgspec.convert(document.data, Spec)
        sound = not document.has_nulls
    except msgspec.ValidationError:
        sound = False
    assert sound == (schema.problems(document) == [])


def test_enough_of_them_are_refused(tmp_path):
    refused = [judge(write(tmp_path, spoiled(seed)))[1] for seed in range(0, COUNT, 5)]
    assert sum(refused) > len(refused) / 2


@pytest.mark.parametrize("seed", range(0, COUNT, 3))
def test_a_literal_secret_is_refused_and_never_shown(tmp_path, seed):
    data = spoiled(seed)
    planted = plant(data)
    file = write(tmp_path, data)
    problems, refused = judge(file)
    for form in report.FORMS.values():
        assert CANARY not in form(problems, False)
    assert CANARY not in repr(problems)
    assert refused or not planted
