"""What an error knows of itself."""

from __future__ import annotations

import pytest

from woollama.domain.errors import UpstreamRefused


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("Fri, 20 Nov 2026 12:00:00 GMT", None),
        ("", None),
    ],
)
def test_an_upstream_says_in_seconds_when_to_come_back(said: str, seconds: float | None) -> None:
    assert UpstreamRefused("no", status=429, headers={"retry-after": said}).retry_after == seconds
    assert UpstreamRefused("no", status=429).retry_after is None
