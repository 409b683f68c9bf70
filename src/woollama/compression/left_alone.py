"""What is left alone on purpose: source code and configuration, which somebody will edit by what he reads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from woollama.compression.block import Block, Crushed

LOOKED_AT_CHARS = 60_000
SAMPLE_LINES = 300
LONGEST_LINE = 2000
_NUMBERED = re.compile(r"\s{0,8}\d{1,6}(?:\t|→|\s?[|:]\s?)")
_CODE = re.compile(
    r"\s*(?:(?:async |export |public |private |protected |static |pub |abstract |final |default )*"
    r"(?:def|class|import|from|return|if|elif|else|for|while|try|except|finally|with|raise|yield|func|fn|let|const|var"
    r"|function|interface|struct|enum|impl|use|using|namespace|package|switch|case|match|select|type|void|int|async|await"
    r"|assert|pass|break|continue)\b.*[:;{},(\\)\]\w\"']$"
    r"|#\s?(?:include|define|ifdef|ifndef|endif|pragma)\b|@\w+|[)}\]]+[;,)]*$|.*[;{]$|\s*(?://|/\*|\*/|\*\s)"
    r"|[\w.\[\]\"'()]+(?:, [\w.]+)* [-+*/|&]?= .+|self\.\w+|[\w.]+\(.*\)$)"
)
_DEFINES = re.compile(
    r"^[ \t]{0,80}(?:\d{1,6}[\t→|: ]{1,4})?"
    r"(?:(?:async |export |public |private |protected |static |pub |abstract |final )*"
    r"(?:def|class|function|func|fn|struct|interface|impl|namespace|package|import|from|use|using)\s+[\w{*\"'.]|#\s?include\b"
    r"|(?:const|let|var)\s+[\w{]+\s*=)",
    re.MULTILINE,
)
_SETTING = re.compile(
    r"\s*(?:-\s)?[A-Za-z_\"'][\w.\"'/ -]{0,80}\s{0,3}(?:=|:(?=\s|$))|\s*\[{1,2}[\w.\"' :-]+\]{1,2}\s*$|\s*[#;]|\s*-\s"
)
_LIKE_CODE = ((0.5, 0.001), (0.2, 0.002), (0.12, 0.015))
"""Shares of lines that look like code, each with the share of definitions that makes it sure: of two hundred files of
Python, Perl, C and JavaScript three are missed, of logs, listings and prose none is taken for code."""
_TIMED = re.compile(r"\S{0,12}\d{1,2}:\d\d")


class SourceCode:
    """Files of code, as read or with line numbers in front."""

    name = "source_code"

    def priority(self, block: Block) -> float:
        text = block.text[:LOOKED_AT_CHARS]
        lines = block.once("sample", _sample)
        if len(lines) < 5:
            return -1.0
        like_code = _share(lines, _CODE)
        if like_code < 0.12:
            return -1.0
        defines = len(_DEFINES.findall(text)) / max(1, sum(map(bool, map(str.strip, text.split("\n")))))
        return 0.85 if any(like_code >= least and defines >= of for least, of in _LIKE_CODE) else -1.0

    def crush(self, block: Block) -> Crushed | None:
        return None


class Configuration:
    """TOML, INI, YAML and the like."""

    name = "configuration"

    def priority(self, block: Block) -> float:
        lines = block.once("sample", _sample)
        if len(lines) < 5 or not _nearly_all(lines, _SETTING):
            return -1.0
        if sum(_TIMED.match(line) is not None for line in lines) > len(lines) // 10:
            return -1.0
        keys = {line.split("=")[0].split(":")[0].strip(" -") for line in lines}
        return 0.65 if 5 * len(keys) >= len(lines) else -1.0

    def crush(self, block: Block) -> Crushed | None:
        return None


def _sample(text: str) -> list[str]:
    lines = [line for line in text[:LOOKED_AT_CHARS].split("\n") if line.strip() and len(line) <= LONGEST_LINE]
    some = lines[:: max(1, len(lines) // SAMPLE_LINES)]
    if sum(_NUMBERED.match(line) is not None for line in some) > 0.9 * len(some):
        some = [_NUMBERED.sub("", line, count=1) for line in some]
    return some


def _share(lines: Sequence[str], pattern: re.Pattern[str]) -> float:
    return sum(pattern.match(line[:400]) is not None for line in lines) / len(lines)


def _nearly_all(lines: Sequence[str], pattern: re.Pattern[str]) -> bool:
    """Whether nine in ten match. Most texts show early that they do not."""
    misses = 0
    for line in lines:
        misses += pattern.match(line[:400]) is None
        if 10 * misses > len(lines):
            return False
    return True
