"""PROVISIONAL: to be replaced by the writer of branch writeback."""

from __future__ import annotations
import difflib
from collections.abc import Callable, Sequence
from typing import Any
import msgspec
from omniroute.config.bundle import Bundle
from omniroute.document import Edit, apply, Insert, Set


class Change(msgspec.Struct, frozen=True):
    diff: str
    revision: str
    bundle: Any
    rewritten: tuple[str, ...] = ()
