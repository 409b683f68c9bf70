"""Where an upstream is, read from its base URL."""

from __future__ import annotations

import pytest

from woollama.http.request import Origin, split_base_url


@pytest.mark.parametrize(
    ("url", "origin", "path", "authority"),
    [
        ("http://127.0.0.1:8080/v1/", Origin("127.0.0.1", 8080), "/v1", "127.0.0.1:8080"),
        ("https://api.example.com/v1", Origin("api.example.com", 443, tls=True), "/v1", "api.example.com"),
        ("http://[::1]:9000", Origin("::1", 9000), "", "[::1]:9000"),
        ("http://[::1]/x", Origin("::1", 80), "/x", "[::1]"),
        ("http://bücher.example/", Origin("xn--bcher-kva.example", 80), "", "xn--bcher-kva.example"),
    ],
)
def test_base_urls(url: str, origin: Origin, path: str, authority: str):
    assert split_base_url(url) == (origin, path)
    assert origin.authority == authority


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "127.0.0.1:80", "http://", "http://a:b@c/", "http://x/?a=1", "http://x:y/"]
)
def test_what_is_no_base_url(url: str):
    with pytest.raises(ValueError):  # noqa: PT011
        split_base_url(url)
