"""What clients and upstreams wrote, on its way into headers."""

from __future__ import annotations

import pytest

from woollama.surfaces.bodies import header_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ollama/qwen3:14b", b"ollama/qwen3:14b"),
        ("fields were left out: a\r\nset-cookie: b\0", b"fields were left out: a??set-cookie: b?"),
        ("mock/\u6a21 \ud83e \x7f", b"mock/? ? ?"),
    ],
)
def test_a_header_is_printable_whatever_it_repeats(text: str, value: bytes) -> None:
    assert header_value(text) == value


def test_a_header_is_never_longer_than_clients_put_up_with() -> None:
    assert header_value("x" * 100_000) == b"x" * 1000 + b"..."
