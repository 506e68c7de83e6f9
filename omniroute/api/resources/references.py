"""What refers to a name that is to go."""

from __future__ import annotations

from omniroute.api.write import Draft
from omniroute.config.lint.subject import Subject
from omniroute.errors import ConfigError


def check_unnamed(draft: Draft, name: str) -> None:
    """Raises ConfigError with every place that names a combo or alias. Keys may name what is not there, which is only a
    warning where a person wrote it; a deletion must not make it so behind their back."""
    subject = Subject(draft.bundle, draft.control.catalog, insecure=True)
    found = [
        draft.bundle.problem("OR202", place, f"`{name}` is named here", "take it out here first")
        for place, named in subject.references()
        if named == name
    ]
    if found:
        raise ConfigError(found)
