"""Random files in random styles, and the law of `omniroute fmt` for each: the same data, every comment, and nothing more to do.

The law is checked by other means than those of the formatter: data is compared without its order, comments carry numbers
that have to be there again, and the second run is one of its own.

    python tests/reliability/fmt_storm.py [COUNT] [SEED]     as many files as you like; prints what became of them
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from pathlib import Path

import msgspec

from omniroute.config.order import declared
from omniroute.document import Document, arranged, laid_out
from omniroute.errors import ConfigError, EditRefused

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "version", "providers", "combos", "keys", "limits", "server", "aliases", "a", "b", "demo", "targets", "strategy", "model",
    "weight", "012", "true", "x y", "a: b", "demo-*", "*", "", "#", "grün", "🚀", "it's", '"', "policies", "rules", "tests",
    "null", "1", "-", "? a", "settings", "match", "priority", "connections", "main", "api_key", "timeouts", "price",
)  # fmt: skip
WORDS = (
    "demo/echo", "demo/*", "*", "a: b", "a #b", "", " lead", "trail ", "true", "012", "22:22", "null", "~", "-", "- a", "{", "}",
    "[a", "a, b", "'", '"', "it's", 'say "hi"', "\\", "%", "@", "`", "|", "1e3", "2027-06-30", "${env:KEY}", "grün", "日本",
    "http://x:80/a?b=c#d", "a\nb", "a\nb\n", "a\n\nb\n\n", "\n", "  a\nb\n", "a\n  b\n", "\ta", "x" * 130, "some words of text",
    "on", "60s", "(?i)\\bx\\b", "#", "a\n \nb\n", "\n\na\n", "word " * 30,
)  # fmt: skip


class Style:
    """Writes data as somebody might, with numbered comments in between."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.comments = 0
        self.anchors: list[str] = []
        self.step = chance.choice((1, 2, 2, 2, 3, 4))
        self.dashes = chance.choice((0, 0, 1, 2, 3))
        self.care = chance.choice((0.0, 0.1, 0.4))
        self.one_line = chance.choice((0.2, 0.5, 0.9))

    def comment(self) -> str:
        self.comments += 1
        return f"# c{self.comments}." + self.chance.choice(("", " it's", " a: [b", ' "', "  x  y", "#"))

    def noise(self, indent: int) -> list[str]:
        lines = []
        while self.chance.random() < self.care:
            by = indent + self.chance.choice((0, 0, 0, -self.step, self.step, 5))
            lines.append(self.chance.choice((" " * max(0, by) + self.comment(), "", "  ")))
        return lines

    def tail(self) -> str:
        if self.chance.random() < self.care:
            return " " * self.chance.randrange(1, 9) + self.comment() + self.chance.choice(("", "  "))
        return ""

    def scalar(self, value: object, flow: bool) -> str:
        if not isinstance(value, str):
            return {None: "null", True: "true", False: "false"}.get(value, str(value))  # type: ignore[call-overload]
        kind = self.chance.random()
        plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9/ .-]*(?<! )", value)
        if plain and value not in ("null", "true", "false") and kind < 0.6:
            return value.replace(" ", "\n" + " " * 40) if not flow and kind < 0.1 and len(value) < 99 else value
        if kind < 0.8 and not re.search(r"[\n\t]", value):
            return "'" + value.replace("'", "''") + "'"
        escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
        return '"' + "".join(escapes.get(char, char) for char in value) + '"'

    def literal(self, value: str, indent: int) -> str:
        chomp = "-" if not value.endswith("\n") else "+" if value.endswith("\n\n") else ""
        lines = value.removesuffix("\n").split("\n")
        by = self.chance.randrange(1, 5)
        mark = str(by) if next((line for line in lines if line), "").startswith((" ", "\t")) or lines[0] == "" else ""
        text = "\n".join(" " * (indent + by) + line if line else "" for line in lines)
        return f"|{mark}{chomp}{self.tail()}\n{text}"

    def flow(self, data: object, indent: int) -> str:
        if isinstance(data, dict) and data:
            parts = [f"{self.scalar(name, True)}: {self.flow(each, indent + 2)}" for name, each in data.items()]
        elif isinstance(data, list) and data:
            parts = [self.flow(each, indent + 2) for each in data]
        else:
            return "{}" if data == {} else "[]" if data == [] else self.scalar(data, True)
        left, right = "{}" if isinstance(data, dict) else "[]"
        if self.chance.random() < self.one_line:
            pad = self.chance.choice(("", "", " "))
            return (
                left + pad + f"{pad},{self.chance.choice(('', ' ', '  '))}".replace(",", ", ").join(parts) + pad + right
            )
        gap = "\n" + " " * (indent + 2)
        inner = gap.join([*self.noise(indent + 2), *(f"{part},{self.tail()}" for part in parts), *self.noise(indent)])
        return f"{left}{self.tail()}{gap}{inner}\n{' ' * (indent + 1)}{right}"

    def below(self, data: object, indent: int, root: bool = False) -> str:
        """What stands behind a colon or dash."""
        chance = self.chance
        if self.anchors and chance.random() < 0.03:
            return f" *{self.anchors[-1]}{self.tail()}\n"
        anchor = ""
        if chance.random() < 0.04 and not root:
            name = f"n{len(self.anchors)}_{self.comments}"
            anchor = f" &{name}"
        if isinstance(data, dict | list) and data and (root or chance.random() < 0.7):
            made = f"{anchor}{self.tail()}\n" + self.block(data, indent)
        elif isinstance(data, str) and "\n" in data and data.strip() and chance.random() < 0.7:
            made = f"{anchor} {self.literal(data, indent - self.step if indent else 0)}\n"
        elif isinstance(data, str | int | float | bool | None) and chance.random() < 0.08:
            noise = "".join(line + "\n" for line in self.noise(indent))
            made = f"{anchor}{self.tail()}\n{noise}{' ' * (indent + 40)}{self.scalar(data, False)}{self.tail()}\n"
        else:
            made = f"{anchor} {self.flow(data, indent)}{self.tail()}\n"
        if anchor:
            self.anchors.append(anchor[2:])
        return made

    def block(self, data: dict | list, indent: int) -> str:
        text = ""
        for each in data.items() if isinstance(data, dict) else data:
            text += "".join(line + "\n" for line in self.noise(indent))
            if isinstance(data, dict):
                name, value = each
                seq = isinstance(value, list) and value and self.dashes == 0
                explicit = self.chance.random() < 0.03
                head = f"? {self.scalar(name, False)}\n{' ' * indent}:" if explicit else f"{self.scalar(name, True)}:"
                text += " " * indent + head + self.below(value, indent + self.step + (1 if seq else 0))
            elif isinstance(each, dict) and each and self.chance.random() < 0.6 and "" not in each:
                gap = self.chance.choice((1, 1, 3))
                inner = self.block(each, indent + 1 + gap)
                first = inner[indent + 1 + gap :] if inner.startswith(" " * (indent + 1 + gap)) else "\n" + inner
                text += " " * indent + "-" + " " * (gap if first[0] != "\n" else 0) + first
            else:
                text += " " * indent + "-" + self.below(each, indent + 1 + self.step)
        if self.chance.random() < self.care:
            text += "".join(line + "\n" for line in self.noise(indent))
        return text


def value(chance: random.Random, depth: int = 0) -> object:
    kind = chance.random()
    if kind < 0.4 or depth > 3:
        return chance.choice((*WORDS, 0, 7, -1, 0.5, 50.25, True, False, None))
    size = chance.choice((0, 1, 2, 3, 5))
    if kind < 0.75:
        return {chance.choice(NAMES): value(chance, depth + 1) for _ in range(size)}
    return [value(chance, depth + 1) for _ in range(size)]


def generated(chance: random.Random) -> tuple[str, int]:
    """A file, and how many comments are in it."""
    style = Style(chance)
    data = {chance.choice(NAMES): value(chance) for _ in range(chance.randrange(1, 7))}
    text = ("# c0.\n" if chance.random() < 0.3 else "") + style.below(data, 0, root=True).lstrip(" ")
    if chance.random() < 0.1:
        text = text.replace("\n", "\r\n")
    return chance.choice((text, text, text.rstrip("\r\n"))), style.comments


def corpus() -> dict[str, bytes]:
    """All files of the project that are written by hand."""
    folders = ("config", "policies", "examples", "tests/config", "tests/document/corpus")
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.yaml") if path.is_file())
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in found}


def numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"# c\d+\.", text))


def typed(data: object) -> object:
    """Data that is only equal to data of the same types."""
    if isinstance(data, dict):
        return {key: typed(each) for key, each in data.items()}
    if isinstance(data, list):
        return [typed(each) for each in data]
    return type(data).__name__, data


def check(document: Document) -> Document:
    """Fails where the law is broken."""
    made = laid_out(document, declared())
    again = Document.parse(made.content, document.name)
    assert typed(again.data) == typed(document.data), "other data"
    if "&" not in document.text:
        ordered = arranged(document.data, declared())
        assert msgspec.json.encode(again.data) == msgspec.json.encode(ordered), "another order"
    assert numbers(again.text) == numbers(document.text), "other comments"
    assert laid_out(again, declared()).content == made.content, "more to do"
    return made


def storm(count: int, seed: int = 0) -> Counter[str]:
    """So many files; what became of them. Raises where one breaks the law."""
    chance = random.Random(seed)
    fates: Counter[str] = Counter()
    while fates.total() - fates["no YAML"] < count:
        text, comments = generated(chance)
        try:
            document = Document.parse(text, "generated")
        except ConfigError:
            fates["no YAML"] += 1
            continue
        fates["with comments" if comments else "without comments"] += 1
        try:
            check(document)
        except (AssertionError, EditRefused) as error:
            raise AssertionError(f"{error} after {fates}, seed {seed}:\n{text}") from error
    return fates


if __name__ == "__main__":
    print(dict(storm(int((sys.argv[1:] or ["1000"])[0]), int((sys.argv[2:] or ["0"])[0]))))
