"""DiffCompressor: unified diffs. Every added and every removed line stays; selective, context shrinks around them.

Headers, modes, renames and hunk headers are exact. Files that tools write (lock files, minified and generated ones)
become counts: nobody reviews those line by line, and who must can retrieve them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from woollama.compression.block import Block, Crushed
from woollama.compression.notation import Writer
from woollama.compression.relevance import terms_of

WINDOWS = ((3, 3), (2, 2), (1, 1), (1, 0), (0, 0))
"""Lines of context before and after a change: the most with which enough is saved."""
WANTED_SHARE = {"auto": 0.47, "aggressive": 0.3}
AROUND_ANSWERS = 3
FEWEST_LINES = 40
CONTEXT_WORTH = 0.9
"""Context stands in the files, too."""
_HUNK = re.compile(r"@@+ -\d+(?:,\d+)? (?:-\d+(?:,\d+)? )?\+\d+(?:,\d+)? @@+")
_FILE = re.compile(r"diff --git |diff -[a-zA-Z]|Index: |diff --(?:cc|combined) ")
_LOCK = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|Cargo\.lock|poetry\.lock|uv\.lock"
    r"|pdm\.lock|Pipfile\.lock|Gemfile\.lock|composer\.lock|go\.sum|flake\.lock|mix\.lock|Podfile\.lock|packages\.lock\.json"
    r"|gradle\.lockfile|pubspec\.lock|[^/\s]+\.min\.(?:js|css)|[^/\s]+\.map|[^/\s]+_pb2(?:_grpc)?\.py|[^/\s]+\.pb\.go"
    r"|[^/\s]+\.snap)$"
)
_PLAIN_INDEX = re.compile(r"index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}(?: 100644)?")
_NAME = re.compile(r"diff --git a/(.{1,400}) b/(.{1,400})$|(?:\+\+\+|---) (?:[ab]/)?([^\t]{1,400})")


@dataclass(slots=True)
class _File:
    head: list[str] = field(default_factory=list)
    hunks: list[list[str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        for line in self.head:
            if (found := _NAME.match(line)) and (name := found[2] or found[3]) != "/dev/null":
                return name or ""
        return ""


class DiffCompressor:
    name = "diff_compressor"

    def priority(self, block: Block) -> float:
        text = block.text
        if not (text.startswith(("diff ", "--- ", "Index: ")) or "\ndiff --git " in text or "\n--- " in text):
            return -1.0
        return 1.0 if _HUNK.search(text) else -1.0

    def crush(self, block: Block) -> Crushed | None:
        if block.budget_tokens is None:
            writer, lines = Writer(block.text), block.text.split("\n")
            writer.diff(lines)
            return Crushed(writer.finish()) if len(lines) >= FEWEST_LINES else None
        lines = block.text.rstrip("\n").split("\n")
        before, files = _parse(lines)
        lowered = block.text.lower()
        terms = [term for term in terms_of(block.query) if len(term) > 3 and term in lowered]
        wanted = WANTED_SHARE.get(block.level, 0.5) * len(block.text)
        for window in WINDOWS:
            out = list(before)
            left_out = 0
            for file in files:
                if _LOCK.search(file.name):
                    shown, less = _generated(file, block.gap)
                else:
                    shown, less = _reduced(file, window, terms, block.gap)
                out += shown
                left_out += less
            body = "\n".join(out)
            if len(body) <= wanted:
                break
        return Crushed(body, left_out, len(lines), "lines", {}, worth_it=CONTEXT_WORTH)


def _parse(lines: Sequence[str]) -> tuple[list[str], list[_File]]:
    before: list[str] = []
    files: list[_File] = []
    open_lines = 0
    for number, line in enumerate(lines):
        if _HUNK.match(line) and files:
            files[-1].hunks.append([line])
            open_lines = 1
        elif open_lines and line[:1] in ("+", "-", " ", "\\", "") and not _begins_file(lines, number, files):
            files[-1].hunks[-1].append(line)
        elif _FILE.match(line) or _begins_file(lines, number, files):
            if not (files and not files[-1].hunks and line.startswith("--- ")):
                files.append(_File())
            files[-1].head.append(line)
            open_lines = 0
        elif files:
            (files[-1].hunks[-1] if files[-1].hunks else files[-1].head).append(line)
        else:
            before.append(line)
    return before, files


def _begins_file(lines: Sequence[str], number: int, files: Sequence[_File]) -> bool:
    """`--- a` before `+++ b` and a hunk, which no removed line is followed by."""
    following = lines[number + 1 : number + 3]
    return (
        lines[number].startswith("--- ")
        and len(following) == 2
        and following[0].startswith("+++ ")
        and _HUNK.match(following[1]) is not None
    )


def _generated(file: _File, gap: str) -> tuple[list[str], int]:
    changed = [line for hunk in file.hunks for line in hunk[1:]]
    added = sum(line.startswith("+") for line in changed)
    removed = sum(line.startswith("-") for line in changed)
    size = len(changed) + len(file.hunks)
    if not size:
        return file.head, 0
    said = f"{gap}{size} ({len(file.hunks)} hunks of a generated file: +{added} -{removed} lines)"
    return [*file.head, said], size


def _reduced(file: _File, window: tuple[int, int], terms: Sequence[str], gap: str) -> tuple[list[str], int]:
    """A file's changes with the context in `window`. What is missing at the ends of a hunk its header says; only what
    is missing inside is marked."""
    out = _head(file.head)
    left_out = len(file.head) - len(out)
    for hunk in file.hunks:
        keep = sorted(_kept_lines(hunk, window, terms))
        left_out += len(hunk) - 1 - len(keep)
        out.append(hunk[0])
        following = keep[0] if keep else 0
        for number in keep:
            if number > following:
                out.append(f"{gap}{number - following}")
            out.append(hunk[number])
            following = number + 1
    return out, left_out


def _head(head: Sequence[str]) -> list[str]:
    """Without blob ids, but for those with a mode that is not the usual one in their line."""
    return [line for line in head if not _PLAIN_INDEX.fullmatch(line)]


def _kept_lines(hunk: Sequence[str], window: tuple[int, int], terms: Sequence[str]) -> set[int]:
    """Changed lines, and as many lines around each as the window says, more where they have words of the question."""
    keep: set[int] = set()
    for number, line in enumerate(hunk[1:], 1):
        answers = bool(terms) and any(term in line.lower() for term in terms)
        if line[:1] == " " or line == "":
            if answers:
                keep.add(number)
            continue
        before, after = (AROUND_ANSWERS, AROUND_ANSWERS) if answers else window
        keep.update(range(max(1, number - before), min(len(hunk), number + after + 1)))
    return keep
