"""Thinking that an upstream will not have: nothing is sealed here, but many models refuse to be asked to think."""

from __future__ import annotations

import re

from omniroute.errors import Fault
from omniroute.formats.codec import Fields

_about_thinking = re.compile(r"does not support thinking|think value", re.IGNORECASE)


def seal_refused(fault: Fault) -> bool:
    return _about_thinking.search(fault.message) is not None


def unsealed(fields: Fields) -> Fields | None:
    kept = {name: value for name, value in fields.items() if name != "think"}
    return kept if len(kept) < len(fields) else None
