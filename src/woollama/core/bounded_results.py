"""The largest result of a tool that is taken. Of a larger one the rest is left out, and that is said in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from woollama.domain.messages import Json
from woollama.domain.ports import Toolbox, ToolContext
from woollama.domain.tools import Function, Returned, ToolOutcome, block_bytes


class BoundedResults:
    """`limit_bytes` is asked at each call. Nearest to the tools: what is left out here nobody ever sees."""

    def __init__(self, inner: Toolbox, limit_bytes: Callable[[], int]) -> None:
        self._inner = inner
        self._limit_bytes = limit_bytes

    def __repr__(self) -> str:
        return f"<BoundedResults {self._limit_bytes()} bytes of {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        return self._inner.functions()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        outcome = await self._inner.call(function, arguments, context)
        limit_bytes = self._limit_bytes()
        if not isinstance(outcome, Returned) or outcome.size_bytes <= limit_bytes:
            return outcome
        return cut(
            outcome, limit_bytes, promises_structure=bool(function.tool and function.tool.raw.get("outputSchema"))
        )


def cut(result: Returned, limit_bytes: int, *, promises_structure: bool = False) -> Returned:
    """As much of `result` as fits, and a last text that tells how large it was.

    Data that somebody would read by its schema is whole or not there; where a schema promises it, the result without it
    is an error.
    """
    kept = tuple(_fitting(result.content, limit_bytes))
    left_bytes = limit_bytes - sum(map(block_bytes, kept))
    structured = replace(result, content=())
    keeps = result.structured is not None and structured.size_bytes <= left_bytes
    note = (
        f"[woollama: this result was cut. It had {result.size_bytes} bytes, and at most {limit_bytes} are taken"
        " (limits.tool_result). What is missing cannot be fetched from here; ask for less at once.]"
    )
    return replace(
        result,
        content=(*kept, {"type": "text", "text": note}),
        structured=result.structured if keeps else None,
        is_error=result.is_error or (promises_structure and not keeps),
    )


def _fitting(blocks: Sequence[Mapping[str, Json]], left_bytes: int) -> Iterator[Mapping[str, Json]]:
    """Whole blocks as long as they fit, and the beginning of the first text that does not."""
    for block in blocks:
        size = block_bytes(block)
        if size <= left_bytes:
            left_bytes -= size
            yield block
        elif block.get("type") == "text":
            room = max(0, left_bytes - block_bytes({**block, "text": ""}))
            text = str(block.get("text")).encode("utf-8", "surrogatepass")[:room].decode("utf-8", "ignore")
            if text:
                yield {**block, "text": text}
            return
