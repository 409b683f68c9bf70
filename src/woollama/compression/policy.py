"""The policy: what may be left out, of which tools, and how much of it stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from woollama.compression.block import LEVELS, Level

EXCLUDED_TOOLS = (
    "read", "read_file", "readfile", "view", "open_file", "get_file_contents", "read_text_file", "read_multiple_files",
    "skill", "load_skill", "str_replace_editor", "edit", "write", "woollama__retrieve", "retrieve",
)  # fmt: skip
"""Reads of files to be edited, skills, and our own retrieval, by the last part of a tool's name in lower case."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Of a block of more than `above_tokens`, `share` is kept, but not less and not more than so many tokens."""

    above_tokens: int
    share: float
    least_tokens: int
    most_tokens: int

    def of(self, tokens: int) -> float:
        return min(max(self.share * tokens, self.least_tokens), self.most_tokens)


AUTO = Budget(above_tokens=2000, share=0.2, least_tokens=1500, most_tokens=8000)
AGGRESSIVE = Budget(above_tokens=500, share=0.07, least_tokens=350, most_tokens=3000)


@dataclass(frozen=True, slots=True)
class Policy:
    """`enabled` false: nothing is touched. Without `inject_retrieval_marker` nothing is left out, because what is left
    out could not be had back. `use_feedback_hints`: what was looked up before stays in line. `tools` are levels by
    globs over tool names. Blocks below `min_tokens` are not worth it."""

    enabled: bool = True
    inject_retrieval_marker: bool = True
    use_feedback_hints: bool = True
    min_tokens: int = 200
    max_bytes: int = 32 * 2**20
    auto: Budget = AUTO
    aggressive: Budget = AGGRESSIVE
    exclude_tools: tuple[str, ...] = EXCLUDED_TOOLS
    tools: Mapping[str, Level] = field(default_factory=dict)

    def budget(self, level: Level) -> Budget | None:
        return {"auto": self.auto, "aggressive": self.aggressive}.get(level)

    def level_for(self, tool: str, asked: Level) -> Level:
        """The level of the tool's own, where it has one. Who asked for `lossless` could have nothing back of what was
        left out, so that no tool's level goes beyond that, or beyond `off`."""
        own = next((level for glob, level in self.tools.items() if fnmatchcase(tool, glob)), asked)
        return own if asked in ("auto", "aggressive") else min(own, asked, key=LEVELS.index)

    def excludes(self, tool: str) -> bool:
        plain = tool.lower()
        last = plain.rpartition(".")[2].rpartition("__")[2]
        return any(fnmatchcase(name, glob.lower()) for glob in self.exclude_tools for name in (plain, last))
