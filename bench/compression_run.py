"""One contender of `bench compression`, in a process of its own: inputs as JSON on stdin, a line of JSON for each on
stdout."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Compressing = Callable[[str, str, str], tuple[str, Callable[[str], bool]]]
"""(text, query, tool) -> the smaller text, and whether a needle can be had back of what it left out."""


def woollama(level: str) -> Compressing:
    from woollama.compression import ContentRouter, SqlOriginals, restore

    originals = SqlOriginals()
    router = ContentRouter(originals=originals)

    def run(text: str, query: str, tool: str) -> tuple[str, Callable[[str], bool]]:
        made = router.compress(text, query=query, tool=tool, level=level)  # type: ignore[arg-type]

        def back(needle: str) -> bool:
            whole = originals.get(made.refs[0]) if made.refs else restore(made.text)
            return whole == text

        return made.text, back

    return run


def headroom(way: str) -> Compressing:
    """Its `compress` as documented, its mode `agent`, which is lossless, or its router called directly."""
    from headroom import CompressConfig, compress  # type: ignore[import-not-found, unused-ignore]

    if way == "components":
        return _components()
    config = CompressConfig(protect_recent=0, mode="agent" if way == "lossless" else None)

    def run(text: str, query: str, tool: str) -> tuple[str, Callable[[str], bool]]:
        call = {"id": "c", "type": "function", "function": {"name": tool, "arguments": "{}"}}
        messages = [
            {"role": "user", "content": query},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": text},
        ]
        made = compress(messages, model="claude-sonnet-4-5-20250929", config=config)
        smaller = str(made.messages[-1]["content"])
        return smaller, _in_store(smaller)

    return run


def _components() -> Compressing:
    """Its crushers called directly, each for the kind of text that its router would give it."""
    from headroom import transforms  # type: ignore[import-not-found, unused-ignore]

    kinds = {
        "diff": transforms.DiffCompressor(),
        "log": transforms.LogCompressor(),
        "search": transforms.SearchCompressor(),
        "table": transforms.TabularCompressor(),
    }
    smart = transforms.SmartCrusher()

    def run(text: str, query: str, tool: str) -> tuple[str, Callable[[str], bool]]:
        kind = _kind(text)
        made = smart.crush(text, query) if kind == "json" else kinds[kind].compress(text, context=query)
        smaller = str(made.compressed)
        return smaller, _in_store(smaller)

    return run


def _kind(text: str) -> str:
    if text.lstrip()[:1] in ("[", "{"):
        return "json"
    if text.startswith("diff "):
        return "diff"
    first = text.split("\n", 1)[0]
    if re.match(r"[^\s:]+\.\w+:\d+:", first):
        return "search"
    return "table" if first.count(",") > 2 else "log"


def _in_store(made: str) -> Callable[[str], bool]:
    """By the hashes that its marks carry, as its own tool would look them up."""

    def back(needle: str) -> bool:
        from headroom.cache.compression_store import get_compression_store

        store: Any = get_compression_store()
        found = (store.retrieve(hash_) for hash_ in dict.fromkeys(re.findall(r"\b[0-9a-f]{12,64}\b", made)[:200]))
        return any(needle in str(entry.original_content) for entry in found if entry is not None)

    return back


def main() -> None:
    who, how = sys.argv[1:3]
    run = (woollama if who == "woollama" else headroom)(how)
    inputs = json.load(sys.stdin)
    run("warm up " * 50, "", "")
    for text, query, tool, needles in inputs:
        began = time.process_time()
        try:
            made, back = run(text, query, tool)
        except Exception as problem:  # whatever another's program does with an input is a result, too
            print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
            made, back = text, lambda needle: True
        ms = (time.process_time() - began) * 1000
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"text": made, "ms": ms, "mib": mib, "back": {needle: back(needle) for needle in needles}}))


if __name__ == "__main__":
    main()
