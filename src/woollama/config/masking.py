"""What of a configuration may be shown: everything but secrets. A reference to a variable is none, its value would be.

Where it is not certain, it is hidden: a value too many behind stars costs a look into the file.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from woollama.config.documents import KeyPath

HIDDEN = "********"

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_SCHEME = re.compile(r"\s*(?:bearer|basic|token|apikey)?\s*", re.IGNORECASE)
_SECRET_NAME = re.compile(r"key|token|secret|pass|auth|cookie|credential|signature|session", re.IGNORECASE)
_SECRET_FLAG = re.compile(r"(--?[\w-]*(?:key|token|secret|pass|auth|cookie|credential)[\w-]*)(=(.*))?", re.IGNORECASE)
_KEY_SHAPED = re.compile(
    r"\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[a-z]|hf|gsk|xai|AKIA|AIza|eyJ)[-_A-Za-z0-9][-_.A-Za-z0-9]{14,}"
)
_NAMES = frozenset({"api_key_env", "auth"})
"""Keys that are named like a secret and hold none."""
HARMLESS_HEADERS = frozenset(
    {
        *("accept", "content-type", "user-agent", "http-referer", "referer", "origin", "x-title"),
        *("anthropic-version", "anthropic-beta", "openai-beta"),
    }
)
"""They say who asks, and how, in words that also stand elsewhere."""


def masked(path: KeyPath, value: Any) -> Any:
    """`value`, which stands under `path`, with `HIDDEN` for what could be a secret in it."""
    match value:
        case dict():
            return {key: masked((*path, key), each) for key, each in value.items()}
        case list() | tuple():
            return _list(path, value)
        case str():
            return HIDDEN if _secret_by_place(path) and _literal(value) else _text(value)
        case _:
            return value


def _list(path: KeyPath, values: list[Any] | tuple[Any, ...]) -> list[Any]:
    """Arguments of a program: what follows a flag that is named like a secret is one."""
    shown: list[Any] = []
    after_flag = False
    for each in values:
        if after_flag and isinstance(each, str) and _literal(each):
            shown.append(HIDDEN)
            after_flag = False
            continue
        flag = _SECRET_FLAG.fullmatch(each) if isinstance(each, str) else None
        after_flag = flag is not None and flag[2] is None
        if flag is not None and flag[3] and _literal(flag[3]):
            shown.append(f"{flag[1]}={HIDDEN}")
        else:
            shown.append(masked((*path, 0), each))
    return shown


def _secret_by_place(path: KeyPath) -> bool:
    name = next((str(step) for step in reversed(path) if not isinstance(step, int)), "")
    if "headers" in path[:-1]:
        return name.lower() not in HARMLESS_HEADERS
    if "env" in path[:-1]:
        return _SECRET_NAME.search(name) is not None
    return name not in _NAMES and not name.endswith("_env") and _SECRET_NAME.search(name) is not None


def _literal(value: str) -> bool:
    """Whether something stands there beside references to variables; the default of one counts."""
    rest = _REFERENCE.sub(lambda found: found[1].partition(":-")[2], value)
    return _SCHEME.fullmatch(rest) is None


def _text(value: str) -> str:
    value = _KEY_SHAPED.sub(HIDDEN, value)
    if "://" in value and "@" in value:
        try:
            password = urlsplit(value).password
        except ValueError:
            return HIDDEN
        if password and _literal(password):
            value = value.replace(f":{password}@", f":{HIDDEN}@", 1)
    return value
