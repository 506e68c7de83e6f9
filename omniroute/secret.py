"""A value that must not be seen: it has no text, JSON or pickle form.

A class of its own and not a convention, because discipline fails once and a type does not: a `Secret` that slips
into a log line, an answer or a traceback shows as `<secret>`.  `reveal` is called in one place, `upstream/auth.py`,
at the moment an outgoing request is signed; `tests/test_architecture.py` keeps it so.
"""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Holds one secret string. Equality and hashing work by identity, so that comparing leaks nothing."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one caller that signs requests."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")
