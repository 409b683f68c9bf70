"""A frame: one event of an event stream, the blank line that ends it included."""

from __future__ import annotations


def data_of(frame: bytes) -> bytes | None:
    """What stands in the `data` lines, joined by line feeds; None for a frame that has none (a comment)."""
    if frame.startswith(b"data:") and frame.endswith(b"\n\n") and frame.count(b"\n") == 2 and b"\r" not in frame:
        return frame[6:-2] if frame[5] == 0x20 else frame[5:-2]
    values = []
    for line in frame.splitlines():
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(values) if values else None


def with_data(frame: bytes, data: bytes) -> bytes:
    """The same frame, its other lines kept, with `data` (which holds no line end) in place of its own."""
    others = [line for line in frame.splitlines() if line and line.partition(b":")[0] != b"data"]
    return b"\n".join([*others, b"data: " + data, b"", b""])
