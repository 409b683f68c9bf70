"""The one text of a custom tool, taken out of the arguments of the function that stands for it.

A long text (a patch, a script) must reach the client while the model still writes it, so it is unescaped piece by
piece from JSON that is not all there.
"""

from __future__ import annotations

import json
import re

from woollama.surfaces.openai_responses.tools import CUSTOM_INPUT

_ESCAPED = frozenset('"\\/bfnrtu')


def input_of(arguments: str) -> str | None:
    """The text in whole arguments; None where they are cut short or not of the form that was asked for."""
    try:
        given = json.loads(arguments, strict=False)
    except ValueError:
        return None
    text = given.get(CUSTOM_INPUT) if isinstance(given, dict) else None
    return text if isinstance(text, str) else None


class OneText:
    """The string in `{"input": "…"}`, as far as its JSON has come."""

    _OPENING = re.compile(rf'\s*\{{\s*"{CUSTOM_INPUT}"\s*:\s*"')
    # up to the closing quote or to an escape that is not all there: half a surrogate pair waits for its other half
    _WHOLE = re.compile(
        r'(?:[^"\\]|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4})*',
        re.DOTALL,
    )
    _ESCAPE = re.compile(r"\\(.)", re.DOTALL)
    _CLOSING = re.compile(r'"\s*\}?\s*$')

    def __init__(self) -> None:
        self._rest = ""
        self.inside = False

    def feed(self, piece: str) -> str:
        self._rest += piece
        if not self.inside:
            opening = self._OPENING.match(self._rest)
            if opening is None:
                return ""
            self.inside = True
            self._rest = self._rest[opening.end() :]
        whole = self._WHOLE.match(self._rest)
        if whole is None or not whole[0]:
            return ""
        self._rest = self._rest[whole.end() :]
        text: str = json.loads('"' + self._ESCAPE.sub(_mended, whole[0]) + '"', strict=False)
        return text

    def rest(self) -> str:
        """What no JSON can make text of, as it stands, when no more will come."""
        return self._CLOSING.sub("", self._rest)


def _mended(escape: re.Match[str]) -> str:
    """A backslash before a letter that JSON does not escape is one that the model forgot to double."""
    return escape[0] if escape[1] in _ESCAPED else "\\" + escape[0]
