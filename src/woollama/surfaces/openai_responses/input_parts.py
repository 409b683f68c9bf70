"""The content parts of Responses input: of messages, and of what the client's tools gave."""

from __future__ import annotations

from collections.abc import Mapping

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import Audio, Extra, File, Image, Part, Refusal, Text
from woollama.surfaces.fields import Fields
from woollama.surfaces.openai_responses.tools import needed


def decode_parts(holder: Fields, name: str) -> tuple[Part, ...]:
    """The parts under `name`; a bare string is one part of text."""
    raw, path = holder.raw(name), f"{holder.path}.{name}"
    if isinstance(raw, str):
        return (Text(raw),)
    if not isinstance(raw, list):
        raise BadRequest(f"`{path}` must be a string or an array of parts", param=path)
    return tuple(_part(Fields.of(each, f"{path}[{index}]")) for index, each in enumerate(raw))


def _part(part: Fields) -> Part:
    match needed(part, "type"):
        case "input_text" | "output_text" | "text":
            annotations = tuple(dict(each) for each in part.array("annotations") or () if isinstance(each, Mapping))
            return Text(_text(part, "text"), annotations, _extra(part, "prompt_cache_breakpoint"))
        case "refusal":
            return Refusal(_text(part, "refusal"))
        case "input_image":
            return _image(part)
        case "input_file":
            return _file(part)
        case "input_audio":
            audio = Fields.of(part.object("input_audio") or {}, f"{part.path}.input_audio")
            return Audio(needed(audio, "data"), needed(audio, "format"))
        case kind:
            raise UnsupportedField(f"a content part of type {kind!r} is not available", param=f"{part.path}.type")


def _text(part: Fields, name: str) -> str:
    text = part.text(name)
    if text is None:
        raise BadRequest(f"`{part.path}.{name}` must be a string", param=f"{part.path}.{name}")
    return text


def _image(part: Fields) -> Image:
    url, file_id = part.text("image_url"), part.text("file_id")
    if not url and not file_id:
        raise BadRequest("an image needs an `image_url`", param=f"{part.path}.image_url")
    return Image(url, part.text("detail"), file_id, _extra(part, "prompt_cache_breakpoint"))


def _file(part: Fields) -> File:
    data, url, file_id = part.text("file_data"), part.text("file_url"), part.text("file_id")
    if not (data or url or file_id):
        raise BadRequest("a file needs `file_data`, `file_url` or `file_id`", param=part.path)
    return File(part.text("filename"), data, url, file_id, _extra(part, "detail", "prompt_cache_breakpoint"))


def _extra(part: Fields, *names: str) -> Extra:
    kept = {name: part.raw(name) for name in names if part.given(name)}
    return {"responses": kept} if kept else {}
