"""What `/api/chat` and `/api/generate` say alike: options, a wished format, thinking, images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from woollama.domain.errors import BadRequest
from woollama.domain.messages import Extra, Image, no_extra
from woollama.domain.turns import Params, ResponseFormat
from woollama.surfaces.fields import Fields

_SAID = frozenset({"options", "format", "logprobs", "top_logprobs"})
_PARAM_OF_OPTION: Mapping[str, tuple[str, type]] = {
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "top_k": ("top_k", int),
    "seed": ("seed", int),
    "presence_penalty": ("presence_penalty", float),
    "frequency_penalty": ("frequency_penalty", float),
}
_EFFORTS = ("low", "medium", "high")
_MEDIA_TYPES = {"/9j/": "image/jpeg", "R0lG": "image/gif", "UklG": "image/webp"}
"""By the first letters of the data, because images come without a type."""


def params_of(fields: Fields) -> Params:
    """The settings that other dialects know, too. The rest of `options` stays as it is, for a target that is Ollama."""
    options = Fields(fields.object("options") or {}, "options")
    params = Params(
        stop=tuple(_stops(options)),
        max_tokens=_limit(options),
        response_format=_format(fields.raw("format")),
        logprobs=fields.boolean("logprobs"),
        top_logprobs=fields.integer("top_logprobs"),
        reasoning_effort=_effort(fields.raw("think")),
        options=options.rest(*_PARAM_OF_OPTION, "stop", "num_predict") or None,
    )
    said = {name: options.typed(option, kind) for option, (name, kind) in _PARAM_OF_OPTION.items()}
    return replace(params, **said)


def kept(body: Mapping[str, Any], known: frozenset[str]) -> Extra:
    """What only a target of this dialect understands."""
    rest = {name: value for name, value in body.items() if name not in known | _SAID and value is not None}
    return {"ollama": rest} if rest else no_extra()


def images_in(fields: Fields) -> Iterator[Image]:
    for index, image in enumerate(fields.array("images") or ()):
        if not isinstance(image, str) or not image:
            path = f"{fields.path}.images[{index}]" if fields.path else f"images[{index}]"
            raise BadRequest("an image is a text, its data in base64", param=path)
        if image.startswith("data:"):
            yield Image(image)
        else:
            yield Image(f"data:{_MEDIA_TYPES.get(image[:4], 'image/png')};base64,{image}")


def _stops(options: Fields) -> list[str]:
    stop = options.raw("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise BadRequest("`options.stop` must be a string or an array of strings", param="options.stop")
    return stops


def _limit(options: Fields) -> int | None:
    """Negative: as long as the model likes, or its context allows."""
    limit = options.integer("num_predict")
    return limit if limit is not None and limit > 0 else None


def _format(wished: Any) -> ResponseFormat | None:
    match wished:
        case None | "":
            return None
        case "json":
            return ResponseFormat("json_object")
        case dict():
            return ResponseFormat("json_schema", "answer", wished)
        case _:
            raise BadRequest('`format` must be "json" or a JSON schema', param="format")


def _effort(think: Any) -> str | None:
    """`true` is a wish for thought of no said amount; without it a target does as it likes."""
    match think:
        case None | False:
            return None
        case True:
            return "medium"
        case str() if think in _EFFORTS:
            return think
        case _:
            raise BadRequest("`think` must be a boolean, low, medium or high", param="think")
