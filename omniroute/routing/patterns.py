"""Names with stars: `openai/*`, `claude-*`. A star stands for any text, also none, also with slashes."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern to be used with `fullmatch`; each star is a group.

    Linear for any name: between two stars the first place that fits is taken for good (an atomic group, the way
    `fnmatch` does it), which loses nothing because only the last part is tied to the end.
    """
    first, *rest = (re.escape(part) for part in pattern.split("*"))
    if not rest:
        return re.compile(first)
    *middle, last = rest
    inner = "".join(f"(?>(.*?){part})" for part in middle)
    return re.compile(f"{first}{inner}(.*){last}", re.DOTALL)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a name is one of the pattern's. Most patterns need no regular expression: a name, or the beginning of
    one."""
    if "*" not in pattern:
        return pattern.__eq__
    if pattern.find("*") == len(pattern) - 1:
        beginning = pattern[:-1]
        return lambda name: name.startswith(beginning)
    fullmatch = compile_pattern(pattern).fullmatch
    return lambda name: fullmatch(name) is not None
