"""Where the shipped configuration lies."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def defaults_dir() -> Path:
    """The directory with the shipped `recipes.toml`, `mcp.json`, `inferencers.toml` and `examples`.

    A wheel carries them inside the package; an editable checkout has them at its root.
    """
    package = Path(str(files("woollama")))
    for directory in (package / "defaults", package.parents[1]):
        if (directory / "recipes.toml").is_file():
            return directory
    raise FileNotFoundError(f"the shipped configuration is missing: there is no {package / 'defaults'}")
