"""Where a finding is, as tools that keep findings want to know it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

from omniroute.errors import Problem


def relative(file: str) -> str:
    """The file as seen from the working directory, which in CI is the repository, with slashes; as it is where it lies
    outside."""
    seen = os.path.relpath(file)
    return (file if seen.startswith("..") else seen).replace(os.sep, "/")


def sentence(problem: Problem) -> str:
    """All that is said of it, in one line."""
    subject = f"{problem.path}: " if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{subject}{problem.message}{hint}"


def fingerprinted(problems: Sequence[Problem]) -> Iterator[tuple[Problem, str]]:
    """Each with what it is known by from one run to the next, whatever is written above it in the file."""
    seen: Counter[tuple[str, ...]] = Counter()
    for problem in problems:
        same = problem.code, relative(problem.file), problem.path, problem.message
        seen[same] += 1
        yield problem, sha256("\0".join((*same, str(seen[same]))).encode()).hexdigest()
