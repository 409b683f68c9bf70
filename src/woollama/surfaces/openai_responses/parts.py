"""A text that grows, as Responses streams it: a part is added, gets deltas, and is done twice (its text, itself)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from woollama.domain.messages import Json

Wire = dict[str, Any]
"""A stream event without its `sequence_number`."""


@dataclass(frozen=True, slots=True)
class PartKind:
    """How one kind of part is called on the wire. `index` is the key of its place, `text` the key of its text."""

    name: str
    events: str
    part_events: str
    index: str = "content_index"
    text: str = "text"


OUTPUT_TEXT = PartKind("output_text", "response.output_text", "response.content_part")
REFUSAL = PartKind("refusal", "response.refusal", "response.content_part", text="refusal")
THOUGHT = PartKind("reasoning_text", "response.reasoning_text", "response.content_part")
SUMMARY = PartKind(
    "summary_text", "response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index"
)

_CITATIONS = frozenset({"url_citation", "file_citation", "container_file_citation", "file_path"})


class Part:
    """One part at `place` (`item_id` and `output_index`), the `index`th of its item."""

    def __init__(self, kind: PartKind, place: Mapping[str, Json], index: int) -> None:
        self.kind = kind
        self._place = {**place, kind.index: index}
        self._text: list[str] = []
        self._annotations: list[Json] = []
        self._logprobs: list[Json] = []

    def __repr__(self) -> str:
        return f"<Part {self.kind.name} {self._place}>"

    def added(self) -> Wire:
        return self._event(f"{self.kind.part_events}.added", part=self._rendered(""))

    def grow(self, text: str, logprobs: Iterable[Mapping[str, Json]] = ()) -> Iterator[Wire]:
        tokens = [_logprob(each) for each in logprobs]
        if not text and not tokens:
            return
        self._text.append(text)
        self._logprobs += tokens
        more = {"logprobs": tokens} if self.kind is OUTPUT_TEXT else {}
        yield self._event(f"{self.kind.events}.delta", delta=text, **more)

    def annotate(self, annotation: Mapping[str, Json]) -> Iterator[Wire]:
        index = len(self._annotations)
        self._annotations.append(annotation)
        yield self._event(f"{self.kind.events}.annotation.added", annotation_index=index, annotation=annotation)

    def done(self) -> Iterator[Wire]:
        more = {"logprobs": self._logprobs} if self.kind is OUTPUT_TEXT else {}
        yield self._event(f"{self.kind.events}.done", **{self.kind.text: "".join(self._text)}, **more)
        yield self._event(f"{self.kind.part_events}.done", part=self.render())

    def render(self) -> dict[str, Json]:
        rendered = self._rendered("".join(self._text))
        if self.kind is OUTPUT_TEXT:
            rendered |= {"annotations": list(self._annotations), "logprobs": list(self._logprobs)}
        return rendered

    def _rendered(self, text: str) -> dict[str, Json]:
        empty: dict[str, Json] = {"annotations": [], "logprobs": []} if self.kind is OUTPUT_TEXT else {}
        return {"type": self.kind.name, self.kind.text: text, **empty}

    def _event(self, kind: str, **fields: Json) -> Wire:
        return {"type": kind, **self._place, **fields}


def citation(annotation: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """`annotation` as this dialect spells it, or None where it has no such. Chat completions nest what is flat here."""
    kind = annotation.get("type")
    if kind not in _CITATIONS:
        return None
    nested = annotation.get(kind)
    return {"type": kind, **nested} if isinstance(nested, Mapping) else annotation


def _logprob(raw: Mapping[str, Json]) -> dict[str, Json]:
    top = [_token(each) for each in raw.get("top_logprobs") or ()]
    return {**_token(raw), "top_logprobs": top}


def _token(raw: Mapping[str, Json]) -> dict[str, Json]:
    token = str(raw.get("token") or "")
    given = raw.get("bytes")
    spelt = list(given) if given is not None else list(token.encode(errors="replace"))
    return {"token": token, "logprob": raw.get("logprob"), "bytes": spelt}
