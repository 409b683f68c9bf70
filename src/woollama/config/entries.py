"""Named tables of a file, a user's laid over the shipped ones, and how each becomes a record or a reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from woollama.config.documents import Document, KeyPath
from woollama.config.expand import Variables
from woollama.config.problems import Finding, Problem, Severity, Wrong, dotted
from woollama.config.records import read_record

T = TypeVar("T")
OWN_NAME = "woollama"


@dataclass(frozen=True, slots=True)
class Entry:
    """A named table: `home` is where it is written, `sources` where a key is written if that is elsewhere."""

    path: tuple[str, ...]
    raw: Mapping[str, Any]
    home: Document
    sources: Mapping[str, Document]

    @property
    def name(self) -> str:
        return self.path[-1]

    def problems(self, findings: Iterable[Finding]) -> Iterator[Problem]:
        """The findings with their places. An error leaves the entry out."""
        for finding in findings:
            document = self.sources.get(str(finding.at[0]), self.home) if finding.at else self.home
            effect = dotted(self.path) if finding.severity == "error" else ""
            yield place(document, (*self.path, *finding.at), finding, effect)


def place(document: Document, path: KeyPath, finding: Finding, left_out: str = "") -> Problem:
    return Problem(
        document.file,
        document.line_of(path),
        dotted(path),
        finding.message,
        finding.suggestion,
        finding.severity,
        left_out,
    )


def entries(
    section: str, documents: Sequence[Document], problems: list[Problem], *, by_key: bool = False
) -> Iterator[Entry]:
    """The tables below `section`, each laid over those of the same name in earlier documents: whole, or key by key.

    Those that are switched off are not among them; those that cannot be entries are told as problems.
    """
    found: dict[str, Entry | None] = {}
    for document in documents:
        for name, raw in section_of(section, document, problems).items():
            path = (section, name)
            if wrong := _wrong_entry(name, raw):
                problems.append(place(document, path, wrong, dotted(path)))
                found[name] = None
                continue
            earlier = found.get(name) if by_key else None
            sources = {**(earlier.sources if earlier else {}), **dict.fromkeys(raw, document)}
            found[name] = Entry(path, {**(earlier.raw if earlier else {}), **raw}, document, sources)
    yield from filter(None, found.values())


def section_of(section: str, document: Document, problems: list[Problem]) -> Mapping[str, Any]:
    """The table `section` of a document, empty if there is none; a problem if it is no table."""
    raw = document.data.get(section, {})
    if isinstance(raw, dict):
        return raw
    problems.append(place(document, (section,), Finding("must be a table"), section))
    return {}


def switched_off(entry: Entry, problems: list[Problem]) -> bool:
    """Whether the entry says `disabled = true`; one that says it badly is off, too, and told."""
    disabled = entry.raw.get("disabled", False)
    if not isinstance(disabled, bool):
        problems += entry.problems([Finding("must be true or false", ("disabled",))])
        return True
    return disabled


def read_entry(
    cls: type[T],
    entry: Entry,
    variables: Variables,
    problems: list[Problem],
    *,
    verbatim: Collection[str] = (),
    ignored: Collection[str] = (),
    unknown: Severity = "error",
    **given: object,
) -> T | None:
    """The record of an entry, or `None` and the reasons in `problems`.

    `verbatim` keys hold no variables, `ignored` ones are nobody's concern.
    """
    raw = {key: value for key, value in entry.raw.items() if key != "disabled" and key not in ignored}
    unset: list[Finding] = []
    try:
        raw = variables.expand(raw, verbatim)
    except Wrong as wrong:
        unset = list(wrong.findings)
    made, findings = read_record(cls, raw, unknown=unknown, name=entry.name, **given)
    problems += entry.problems([*unset, *findings])
    return None if unset else made


def _wrong_entry(name: str, raw: object) -> Finding | None:
    if (wrong := wrong_name(name)) is not None:
        return wrong
    return None if isinstance(raw, dict) else Finding("must be a table")


def wrong_name(name: str) -> Finding | None:
    """Names that could never be addressed are refused where they are given."""
    if name == OWN_NAME:
        return Finding(f'"{OWN_NAME}" is the name of the router itself')
    if "/" in name:
        return Finding('a name must not contain "/", which ends it in an address')
    if not name.strip() or not name.isprintable():
        return Finding("a name must be a text that can be seen")
    return None
