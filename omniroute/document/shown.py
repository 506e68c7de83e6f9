"""What of a file may be shown: places with dots, values in one line, and nothing that has the shape of a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import yaml

Step = str | int
Place = Sequence[Step]
"""Where something is in the data: keys and indices from the top."""

hidden = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What an editor does not show: control characters, foreign line ends, marks that reverse the direction of text."""


def dotted(path: Place) -> str:
    """`("combos", "a", "targets", 0)` → `combos.a.targets[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{printable(step)}" if text else printable(step)
    return masked(text)


def quoted(value: object) -> str:
    """A value of the file, fit for a message: short, in one line, and not if it looks like a key."""
    return f"`{masked(printable(str(value)))}`" if value != "" else "an empty text"


def printable(text: str) -> str:
    """A text without anything that a terminal would obey, cut to a readable length."""
    shown = inert(text[:80])
    return f"{shown}…" if len(text) > 80 else shown


def inert(text: str) -> str:
    """A text in one line, without anything that a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


# ---------------------------------------------------------------------------------------------------------- black ink

_secret_name = re.compile(
    r"(?i)(?!require_)(?:.*[-_.])?(?:api[-_]?key|key|token|secret|password|passwd|password[-_]hash|authorization|cookie)"
)
_reference = re.compile(r"\$\{(?:env|file|secret):[^}]*\}")
_key_shaped = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|xai|gsk|ghp|gho|ghs|hf|r8|nvapi|glpat|xox[a-z]|pplx|csk)[-_][A-Za-z0-9_-]{8,}"
    r"|(?<![A-Za-z0-9])(?:AIza|AKIA|github_pat_|eyJ)[A-Za-z0-9_.-]{12,}"
    r"|(?<=://)[^\s/@\"']+(?=@)"
    r"|(?<=[?&;])[^\s=&\"']*(?:key|token|secret|sig)[^\s=&\"']*=[^\s&\"']+"
    r"|(?i:\b(?:bearer|basic)\s+)[^\s\"'$]\S{7,}"
)
_named_value = re.compile(r"""["']?([A-Za-z0-9_.-]+)["']?\s*:\s*""")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a credential."""
    return _secret_name.fullmatch(name) is not None


def masked(text: str) -> str:
    """The text with all that has the shape of a provider's key blacked out."""
    return _key_shaped.sub(lambda match: "*" * len(match[0]), text)


def literal_secrets(root: yaml.Node) -> Iterator[tuple[yaml.Mark, yaml.Mark]]:
    """From where to where literal values of credential fields reach. Below such a field, where only text should be,
    everything that is long enough to be a key counts."""
    seen: set[tuple[int, bool]] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, secret = waiting.pop()
        if (id(node), secret) in seen:
            continue
        seen.add((id(node), secret))
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                named = isinstance(name, yaml.ScalarNode) and is_secret_name(name.value)
                if named and isinstance(value, yaml.ScalarNode) and not _reference.fullmatch(value.value):
                    yield value.start_mark, value.end_mark
                waiting.append((value, secret or named))
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(value, secret) for value in node.value]
        elif secret and len(node.value) >= 8 and not _reference.fullmatch(node.value):
            yield node.start_mark, node.end_mark


def blacked_out(lines: Sequence[str], index: int) -> str:
    """A line of a file that could not be parsed, so that only its looks tell what is a secret: the rest of the line
    after a credential's name, and all of it where such a name stands above it at less indentation."""
    line = lines[index]
    for match in _named_value.finditer(line):
        if is_secret_name(match[1]):
            return line[: match.end()] + "*" * (len(line) - match.end())
    indent = len(line) - len(line.lstrip())
    for above in reversed(lines[:index]):
        if not above.strip() or len(above) - len(above.lstrip()) >= indent:
            continue
        name = _named_value.match(above.lstrip())
        return "*" * len(line) if name and is_secret_name(name[1]) else line
    return line
