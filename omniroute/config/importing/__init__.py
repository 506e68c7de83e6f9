"""`omniroute import`: the configuration of another gateway in our language, and a report of what became of all of it.

A foreign format is a module with `fits`, which knows its files, and `convert`, which tells every part of a source what it
becomes; it stands in `FORMATS`.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from omniroute.catalog import Catalog
from omniroute.config import bundle
from omniroute.config.importing import claude_code_router, litellm, upstream
from omniroute.config.importing.result import Result
from omniroute.config.importing.source import STATE, Finding, Source
from omniroute.config.order import declared
from omniroute.document import MAX_BYTES, Document, arranged, fresh, laid_out, whole
from omniroute.errors import ConfigError, Problem


class Format(Protocol):
    """A foreign format."""

    TITLE: str

    def fits(self, data: Mapping[str, Any]) -> bool: ...

    def convert(self, source: Source, result: Result) -> None: ...


FORMATS: Mapping[str, Format] = MappingProxyType(
    {"litellm": litellm, "omniroute": upstream, "claude-code-router": claude_code_router}
)
MAX_MEMBERS = 1000
_SHOWN = 40


class Imported(msgspec.Struct, frozen=True):
    """What was made of a file: the text of ours, the variables it wants with what they are to hold, what became of
    everything, and what `validate` says of the result."""

    format: str
    text: str
    variables: Mapping[str, str]
    findings: Sequence[Finding]
    problems: Sequence[Problem]


def convert(file: Path, catalog: Catalog, *, form: str = "") -> Imported:
    """The configuration in a foreign file, whose format is found out where it is not given. Raises ConfigError where the
    file cannot be read or its format is not known."""
    source = Source(_documents(file))
    name = form or _found_out(source, file)
    result = Result(catalog)
    FORMATS[name].convert(source, result)
    findings = source.findings()
    document = _document(name, file, result, findings)
    return Imported(name, document.text, result.to_set, findings, _problems(document, catalog))


def _documents(file: Path) -> dict[str, Document]:
    content = bundle.content(file, str(file))
    if content[:2] == b"\x1f\x8b":
        return _members(content, file)
    return {"": Document.parse(content, str(file))}


def _members(content: bytes, file: Path) -> dict[str, Document]:
    """The JSON files of an archive; what else is in it is not looked at."""
    documents: dict[str, Document] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for number, member in enumerate(archive):
                name = Path(member.name).name
                if number > MAX_MEMBERS:
                    break
                if not member.isfile() or member.size > MAX_BYTES or not name.endswith(".json"):
                    continue
                stream = archive.extractfile(member)
                text = stream.read().decode() if stream is not None else ""
                key = name.removesuffix(".json")
                documents[key] = Document.parse(
                    f'{{"{key}": {text}}}' if text.lstrip()[:1] == "[" else text, f"{file}:{name}"
                )
    except (tarfile.TarError, OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError([whole(str(file), "OR001", f"the archive cannot be read: {error}")]) from None
    if not documents:
        raise ConfigError([whole(str(file), "OR001", "there are no JSON files in this archive")])
    return documents


def _found_out(source: Source, file: Path) -> str:
    fitting = [name for name, each in FORMATS.items() if each.fits(source.root.value)]
    if len(fitting) != 1:
        hint = f"say which one: --from {' | '.join(FORMATS)}"
        raise ConfigError([whole(str(file), "OR010", "this is in no format that can be told for sure", hint)])
    return fitting[0]


def _document(name: str, file: Path, result: Result, findings: Sequence[Finding]) -> Document:
    data = {key: value for key, value in result.data.items() if value not in ({}, [])}
    text = _head(name, file, result, findings) + fresh(arranged(data, declared()))
    return laid_out(Document.parse(text, "omniroute.yaml"), declared())


def _head(name: str, file: Path, result: Result, findings: Sequence[Finding]) -> str:
    """What whoever takes this over has to know, as comments."""
    lines = [f"Made by `omniroute import` of {FORMATS[name].TITLE}, {file.name}."]
    if result.to_set:
        lines += ["", "To be set in the environment before the first start:"]
        lines += [f"  {variable}: {what}" for variable, what in sorted(result.to_set.items())]
    for fate, title in (("lossy", "Carried over with a difference:"), ("dropped", "Not carried over:")):
        told = [each for each in findings if each.fate == fate and each.about != STATE]
        if told:
            lines += ["", title]
            lines += [f"  line {each.line}, {each.path or 'the file'}: {each.about}" for each in told[:_SHOWN]]
            lines += [f"  and {len(told) - _SHOWN} more, which the report has"] if len(told) > _SHOWN else []
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + "\n"


def _problems(document: Document, catalog: Catalog) -> list[Problem]:
    """What `validate` finds in the result."""
    path = Path("omniroute.yaml").absolute()
    try:
        return list(bundle.read(path, catalog, instead={path: document}).warnings)
    except ConfigError as error:
        return list(error.problems)
