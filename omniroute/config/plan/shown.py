"""A plan for people: as text with the signs that one knows (`+ ~ -`), and as Markdown for a comment on a pull request.

What stands in a configuration that somebody proposes is shown and never obeyed: no control characters reach a terminal,
no markup a comment. Of many things the first are shown, and how many there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from omniroute.config.plan.blast import Blast
from omniroute.config.plan.changes import Change, Field
from omniroute.config.plan.effects import Effect
from omniroute.config.plan.plan import Plan
from omniroute.document import inert

SIGNS = {"added": "+", "removed": "-", "changed": "~", "renamed": "~"}
COLOURS = {"+": "32", "-": "31", "~": "33", "!": "31", " ": "2"}
MOST_OBJECTS = 30
"""Of a section that are shown."""
MOST_FIELDS = 20
"""Of an object that are shown."""
MOST_EFFECTS = 10
"""Of a kind that are shown."""
WIDEST = 160
"""Characters of a value that are shown."""
LONGEST_COMMENT = 60_000
"""Characters: GitHub takes 65,536."""
_markup = re.compile(r"([\\`*_{}\[\]()#+!|<>~@&$-])")


def text(plan: Plan, *, colour: bool = False) -> str:
    """For a terminal."""
    return "\n".join(_coloured(sign, line) if colour else line for sign, line in _text(plan))


def _text(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "", f"{inert(plan.base.source)} → {inert(plan.target.source)}"
    if plan.empty:
        yield "", "No changes."
        return
    yield "", ""
    if not plan.changes:
        yield "", "  Only the files differ (comments, order, or where things stand); they mean the same."
    for sign, line in _changes(plan.changes):
        yield sign, f"  {line}"
    if plan.effects:
        yield "", ""
        yield "", "What it means:"
        for effect, line in _effects(plan.effects):
            yield _sign(effect), f"  {_sign(effect)} {inert(line)}"
    yield "", ""
    yield "", f"Plan: {summary(plan)}."
    yield from (("!" if line.startswith("Refused") else "", line) for line in _blast(plan.blast))


def summary(plan: Plan) -> str:
    """How much differs, in a line."""
    told = plan.summary
    counts = (
        ("to add", told.added),
        ("to change", told.changed),
        ("to remove", told.removed),
        ("to rename", told.renamed),
    )
    what = counted(counts) or "no object differs"
    harm = "1 effect takes" if told.harmful == 1 else f"{told.harmful:,} effects take"
    return f"{what}; {harm} something away or cost more" if told.harmful else what


def counted(kinds: Iterable[tuple[str, int]]) -> str:
    """How many there are of what, without that of which there is nothing."""
    return ", ".join(f"{count:,} {what}" for what, count in kinds if count)


def _changes(changes: Sequence[Change]) -> Iterator[tuple[str, str]]:
    """The objects, each with its fields, and how many more there are of its section."""
    shown: dict[str, int] = {}
    rest: dict[str, dict[str, int]] = {}
    for change in changes:
        shown[change.section] = shown.get(change.section, 0) + 1
        if shown[change.section] > MOST_OBJECTS:
            kinds = rest.setdefault(change.section, {})
            kinds[change.change] = kinds.get(change.change, 0) + 1
            continue
        sign = SIGNS[change.change]
        was = f" (was {inert(change.was)})" if change.was else ""
        removed = ", before" if change.change == "removed" else ""
        yield sign, f"{sign} {inert(change.path)}{was}    {inert(change.file)}:{change.line}{removed}"
        yield from ((SIGNS[field.change], f"    {_field(field)}") for field in change.fields[:MOST_FIELDS])
        if len(change.fields) > MOST_FIELDS:
            yield " ", f"      … and {len(change.fields) - MOST_FIELDS:,} more fields"
    for section, kinds in rest.items():
        counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        yield " ", f"  … and more {section}: {counts}"


def _field(field: Field) -> str:
    sign = SIGNS[field.change]
    name = f"{inert(field.path)}: " if field.path else ""
    match field.change:
        case "added":
            return f"{sign} {name}{value(field.new)}"
        case "removed":
            return f"{sign} {name}{value(field.old)}"
    return f"{sign} {name}{value(field.old)} → {value(field.new)}"


def _effects(effects: Iterable[Effect]) -> Iterator[tuple[Effect, str]]:
    """The effects in sentences, and how many more there are of their kind."""
    shown: dict[str, int] = {}
    rest: dict[str, tuple[Effect, int]] = {}
    for effect in effects:
        shown[effect.kind] = shown.get(effect.kind, 0) + 1
        if shown[effect.kind] <= MOST_EFFECTS:
            yield effect, effect.text
        else:
            rest[effect.kind] = effect, shown[effect.kind] - MOST_EFFECTS
    for kind, (effect, count) in rest.items():
        yield effect, f"… and {count:,} more of this kind ({kind.replace('_', ' ')})"


def _sign(effect: Effect) -> str:
    return "!" if effect.harmful else "~" if effect.kind == "routed_elsewhere" else "+"


def _blast(blast: Blast) -> Iterator[str]:
    """What of the radius is worth a line: what is exceeded, and what becomes of that."""
    for share in blast.shares:
        if share.exceeded:
            yield f"Blast radius: {share.lost:,} of {share.of:,} {share.what} ({share.share:.0%}, more than {blast.threshold:.0%})."
    if blast.refused:
        yield "Refused: this takes away more than the threshold. `--allow-destroy` says that it is meant."


def value(found: Any) -> str:
    """A value in one line, as YAML would have it."""
    told = inert(_flow(found))
    return told if len(told) <= WIDEST else f"{told[:WIDEST]}…"


def _flow(found: Any) -> str:
    if isinstance(found, dict):
        return "{" + ", ".join(f"{name}: {_flow(each)}" for name, each in found.items()) + "}"
    if isinstance(found, list):
        return "[" + ", ".join(map(_flow, found)) + "]"
    if isinstance(found, bool):
        return "true" if found else "false"
    return '""' if found == "" else str(found)


def _coloured(sign: str, line: str) -> str:
    return f"\x1b[{COLOURS[sign]}m{line}\x1b[0m" if sign in COLOURS else line


# ------------------------------------------------------------------------------------------------------------ Markdown


def markdown(plan: Plan) -> str:
    """For a comment on a pull request: what it means first, the objects behind a fold."""
    lines = list(_markdown(plan))
    size = 0
    for number, line in enumerate(lines):
        size += len(line) + 1
        if size > LONGEST_COMMENT:
            closed = ["```", "", "</details>", ""] if "```diff" in lines[:number] else []
            return "\n".join([*lines[:number], *closed, "… the rest is too long for a comment."])
    return "\n".join(lines)


def _markdown(plan: Plan) -> Iterator[str]:
    yield f"### OmniRoute plan: {'no changes' if plan.empty else _escaped(summary(plan))}"
    yield ""
    yield f"{_code(plan.base.source)} → {_code(plan.target.source)}"
    if plan.empty:
        return
    for line in _blast(plan.blast):
        yield ""
        yield f"> **{_escaped(line)}**"
    harmful = [effect for effect in plan.effects if effect.harmful]
    others = [effect for effect in plan.effects if not effect.harmful]
    for title, group in (("What it takes away", harmful), ("What else it does", others)):
        if group:
            yield ""
            yield f"**{title}**"
            yield ""
            yield from (f"- {_escaped(line)}" for _, line in _effects(group))
    yield ""
    if not plan.changes:
        yield "Only the files differ (comments, order, or where things stand); they mean the same."
        return
    yield f"<details><summary>{len(plan.changes):,} object{'s' if len(plan.changes) > 1 else ''}</summary>"
    yield ""
    yield "```diff"
    for sign, line in _changes(plan.changes):
        yield f"{'!' if sign == '~' else sign}{line.replace(sign, ' ', 1)}".replace("```", "'''")
    yield "```"
    yield ""
    yield "</details>"


def _code(told: str) -> str:
    return f"`{inert(told).replace('`', chr(39))}`"


def _escaped(told: str) -> str:
    """A sentence in which only what stands in back-ticks is markup."""
    parts = inert(told).split("`")
    whole = len(parts) % 2 == 1
    return "".join(
        f"`{part}`" if number % 2 and whole else _markup.sub(r"\\\1", part) for number, part in enumerate(parts)
    )
