"""Problems as people and machines read them: a form is a module and a row in `FORMS`. Pure functions; what they show is in
the problems.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from omniroute.config.report import github, gitlab, junit, objects, sarif, text
from omniroute.errors import Problem

Form = Callable[[Sequence[Problem], bool], str]
"""What is printed of problems, in colour or not; nothing is printed of an empty text."""
FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "text": text.form,
        "json": objects.form,
        "github": github.form,
        "gitlab": gitlab.form,
        "sarif": sarif.form,
        "junit": junit.form,
    }
)
