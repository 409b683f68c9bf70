"""A directory of patterns: every `<name>/system.md` is a recipe, and nothing in it can break the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from woollama.config import Loaded, load

SECTION = '[patterns]\ndir = "patterns"\ndefault_inferencer = "ollama/qwen3"\n'


def loaded(directory: Path, text: str = SECTION) -> Loaded:
    (directory / "recipes.toml").write_text(text)
    return load(directory, {"HOME": str(directory)})


def pattern(directory: Path, name: str, text: str | bytes) -> None:
    folder = directory / "patterns" / name
    folder.mkdir(parents=True)
    (folder / "system.md").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("where", ["patterns", "~/patterns", "${userHome}/patterns"])
def test_each_folder_with_a_system_text_is_a_recipe(tmp_path: Path, where: str):
    pattern(tmp_path, "summarize", "Summarise in {{language}}.\n${HOME} is text.\n")
    (tmp_path / "patterns" / "empty").mkdir()
    found = loaded(tmp_path, SECTION.replace('"patterns"', f'"{where}"'))
    assert found.problems == ()
    recipe = found.config.recipes["summarize"]
    assert recipe.system == "Summarise in {{language}}.\n${HOME} is text."
    assert (recipe.inferencer, recipe.source) == ("ollama/qwen3", "fabric")
    assert "empty" not in found.config.recipes
    assert found.config.recipes["demo"].source == "recipe"


def test_a_recipe_that_is_written_wins_over_a_pattern_of_its_name(tmp_path: Path):
    pattern(tmp_path, "mine", "From the folder.")
    found = loaded(tmp_path, SECTION + '[recipes.mine]\ninferencer = "a/b"\nsystem = "Mine."\n')
    assert found.config.recipes["mine"].system == "Mine."


def test_what_cannot_be_read_is_told_and_spares_the_rest(tmp_path: Path):
    pattern(tmp_path, "good", "Good.")
    pattern(tmp_path, "latin", b"\xff")
    pattern(tmp_path, "woollama", "A name that is taken.")
    found = loaded(tmp_path)
    assert "good" in found.config.recipes
    assert found.errors == ()
    told = {problem.left_out: problem.message for problem in found.problems}
    assert told["latin"] == "cannot be read: it is not UTF-8"
    assert "router itself" in told["woollama"]


@pytest.mark.parametrize(
    ("text", "key", "severity"),
    [
        ('[patterns]\ndir = "gone"\ndefault_inferencer = "a/b"\n', "patterns.dir", "warning"),
        ('[patterns]\ndir = "gone"\n', "patterns", "error"),
        ('[patterns]\ndir = 3\ndefault_inferencer = "a/b"\n', "patterns.dir", "error"),
        ('[patterns]\ndir = "${NOPE}"\ndefault_inferencer = "a/b"\n', "patterns.dir", "error"),
        ("patterns = 3\n", "patterns", "error"),
    ],
)
def test_a_section_that_cannot_be_used_is_told_with_its_place(tmp_path: Path, text: str, key: str, severity: str):
    (problem,) = loaded(tmp_path, text).problems
    assert (problem.key, problem.severity) == (key, severity)
    assert problem.line
