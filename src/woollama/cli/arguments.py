"""Arguments: a parser that says what was probably meant."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

SubParsers = Any
"""What `add_subparsers` returns; argparse has no public name for it."""


class Parser(argparse.ArgumentParser):
    """Never guesses from the beginning of an option, and names the nearest one in an error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.commands: SubParsers = None
        self.completed: dict[str, str] = {}
        """Argument -> which names a shell may offer for it: models, recipes, aliases, tools or servers."""
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    @property
    def arguments(self) -> list[argparse.Action]:
        """All of them, those of groups, too. argparse has no public name for it."""
        return self._actions

    @property
    def options(self) -> list[str]:
        return [name for action in self.arguments for name in action.option_strings]

    def add_subparsers(self, **kwargs: Any) -> SubParsers:
        self.commands = super().add_subparsers(**kwargs)
        return self.commands

    def parse_all(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse, or exit with 2 and a hint."""
        parser = self
        for word in words:
            if parser.commands is None or word.startswith("-"):
                break
            if word not in parser.commands.choices:
                parser.error(f"there is no command {word!r}{nearest(word, parser.commands.choices)}")
            parser = parser.commands.choices[word]
        args, unknown = self.parse_known_args(words)
        if unknown:
            word = unknown[0]
            parser.error(f"there is no argument {word!r}{nearest(word.partition('=')[0], parser.options)}")
        return args

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nTry: {self.prog} --help\n")


def checked(named: str, **given: Any) -> Callable[[str], str]:
    """An argparse type: the text itself, if it can be read as that kind (or maker of kinds) of `config.values`."""

    def check(text: str) -> str:
        from woollama.config import values
        from woollama.config.problems import Wrong

        found = getattr(values, named)
        try:
            kind = found if isinstance(found, values.Kind) else found(**given)
            kind.read(values.written(kind, text))
        except Wrong as wrong:
            raise argparse.ArgumentTypeError(wrong.findings[0].message) from None
        return text

    return check


def pair(text: str) -> tuple[str, str]:
    """An argparse type: NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def nearest(word: str, known: Sequence[str]) -> str:
    import difflib  # only mistakes need it

    spelt = {each.lstrip("-"): each for each in known}  # what all options begin with makes none of them alike
    found = difflib.get_close_matches(word.lstrip("-"), list(spelt), n=1, cutoff=0.5)
    return f"; did you mean {spelt[found[0]]!r}?" if found else ""
