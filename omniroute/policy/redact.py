"""What is taken out of requests and answers: `redact`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from omniroute.formats.redaction.patterns import PATTERNS, Named
from omniroute.formats.redaction.scrubber import Finder, Redaction
from omniroute.routing.tables import Orders, Rule

Side = Literal["request", "response"]
PatternName = Literal["email", "credit_card", "iban", "phone", "us_ssn", "ipv4", "ipv6", "api_key", "jwt"]


class Redact(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Puts a placeholder in the place of personal data and credentials, also in the arguments and results of tools, and
    in streams across their pieces. Pictures, sounds and files are not looked into."""

    patterns: Annotated[
        list[PatternName],
        Meta(
            description="Patterns that have a name: "
            + " ".join(f"`{name}`: {one.about}" for name, one in PATTERNS.items())
        ),
    ] = []
    expressions: Annotated[
        Mapping[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)", description="A name.")], str],
        Meta(
            description="Regular expressions of your own by name, in the syntax of RE2, without `^` and `$`; for "
            "answers no repetition without an end.",
            examples=[{"staff_number": "\\bEMP-[0-9]{6}\\b"}],
        ),
    ] = {}
    sides: Annotated[list[Side], Meta(min_length=1, description="What is redacted.")] = field(
        name="in", default_factory=lambda: ["request"]
    )
    placeholder: Annotated[
        str,
        Meta(
            pattern=r"^[ -~]{1,64}$(?!\n)",
            description="What stands in its place; `{name}` is the pattern's name in capitals.",
        ),
    ] = "[{name}]"
    on_error: Annotated[
        Literal["refuse", "allow"],
        Meta(description="What becomes of a request, or its answer, that cannot be read through: refused, or let by."),
    ] = "refuse"

    def compiled(self) -> Rule:
        """Raises ValueError for an expression that cannot be used; lint has seen to it that there is none."""
        chosen: list[tuple[str, Named]] = [(name, PATTERNS[name]) for name in dict.fromkeys(self.patterns)]
        chosen += [(name, Named(expression, "")) for name, expression in self.expressions.items()]
        redaction = Redaction(
            finders=tuple(Finder(one, self.placeholder.replace("{name}", name.upper())) for name, one in chosen),
            request="request" in self.sides,
            response="response" in self.sides,
            strict=self.on_error == "refuse",
        )
        says = f"redacts {', '.join(name for name, _ in chosen)} in {' and '.join(self.sides)}"
        return Rule(kind="redact", says=says, orders=Orders(redactions=(redaction,)))
