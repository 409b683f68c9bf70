"""The pure decision: which request, from which peer, is let in as whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from woollama.auth import Head, Policy, authorize, origin_allowed
from woollama.domain.errors import BadRequest, Forbidden, NotAuthorized, RouterError, WrongContentType, WrongHost
from woollama.platform import Peer

ME, SOMEBODY = 1000, 1001
POLICY = Policy(uid=ME)
UNIX = Peer("unix", ME, 42)
TCP = Peer("tcp", ME)
ELSEWHERE = Peer("tcp", local=False)


def head(**fields: object) -> Head:
    plain = Head("GET", "/v1/models", host="127.0.0.1:11435", server="127.0.0.1")
    return replace(plain, **fields)  # type: ignore[arg-type]


def posted(content_type: str, **fields: object) -> Head:
    return head(method="POST", content_type=content_type, content_length=2, **fields)


# --- peers ---


def test_the_owner_is_let_in_over_the_socket_and_over_tcp() -> None:
    over_socket = authorize(head(user_agent="OpenAI/Python 3.51"), UNIX, POLICY)
    assert (over_socket.name, over_socket.via, over_socket.uid, over_socket.pid) == ("OpenAI", "unix", ME, 42)
    assert authorize(head(), TCP, POLICY).name == "tcp"


@pytest.mark.parametrize(
    "peer",
    [
        Peer("unix", SOMEBODY),
        Peer("unix", 0),
        Peer("unix", None),
        Peer("tcp", SOMEBODY),
        Peer("tcp", None),
        ELSEWHERE,
    ],
)
def test_nobody_else_is(peer: Peer) -> None:
    with pytest.raises(Forbidden):
        authorize(head(), peer, POLICY)


def test_any_local_user_means_tcp_and_not_the_socket() -> None:
    anybody = replace(POLICY, check_tcp_owner=False)
    assert authorize(head(), Peer("tcp", SOMEBODY), anybody)
    with pytest.raises(Forbidden):
        authorize(head(), Peer("unix", SOMEBODY), anybody)


def test_another_machine_needs_a_token_and_nothing_less() -> None:
    guarded = replace(POLICY, token="sesame", check_tcp_owner=False)
    with pytest.raises(NotAuthorized):
        authorize(head(), ELSEWHERE, guarded)
    assert authorize(head(keys=(b"sesame",)), ELSEWHERE, guarded)


# --- hosts ---


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:11435", "localhost.", "127.0.0.1", "127.9.9.9:1", "[::1]:11435", "[::ffff:127.0.0.1]:80"],
)
def test_loopback_hosts_are_served(host: str) -> None:
    assert authorize(head(host=host), TCP, POLICY)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example:11435",
        "[::1].evil.example",
        "192.168.1.5",
        "localhost:x",
        "::1",
    ],
)
def test_foreign_hosts_are_not_served_over_tcp(host: str | None) -> None:
    with pytest.raises(WrongHost) as refused:
        authorize(head(host=host), TCP, POLICY)
    assert refused.value.param == "host"


def test_over_the_socket_any_host_will_do() -> None:
    for host in (None, "", "x", "docker", "evil.example"):
        assert authorize(head(host=host), UNIX, POLICY)


def test_configured_hosts_and_the_very_address_connected_to_are_served() -> None:
    policy = replace(POLICY, allow_hosts=("Box.lan:11435",))
    assert authorize(head(host="box.lan"), TCP, policy)
    assert authorize(head(host="192.168.1.5:11435", server="192.168.1.5"), TCP, policy)


# --- origins ---


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1:11435.evil.example"},
        {"origin": "http://evil.example", "host": "evil.example"},
        {"fetch_site": "cross-site"},
        {"fetch_site": "same-site"},
        {"fetch_site": "none such"},
    ],
)
@pytest.mark.parametrize("peer", [UNIX, TCP])
def test_pages_of_other_sites_are_refused(peer: Peer, fields: dict[str, str]) -> None:
    with pytest.raises((Forbidden, WrongHost)):
        authorize(head(**fields), peer, POLICY)


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "http://127.0.0.1:11435"},
        {"origin": "HTTP://127.0.0.1:11435", "fetch_site": "same-origin"},
        {"origin": "http://localhost", "host": "localhost"},
        {"fetch_site": "none"},
        {"fetch_site": "same-origin"},
    ],
)
def test_our_own_pages_are_let_in(fields: dict[str, str]) -> None:
    assert authorize(head(**fields), TCP, POLICY)


def test_allowed_origins_are_let_in_and_a_star_stands_for_anything_but_null() -> None:
    policy = replace(POLICY, allow_origins=("https://app.example/", "vscode-webview://*", "http://[::1]:*"))
    for origin in ("https://app.example", "vscode-webview://1ab2", "http://[::1]:3000"):
        assert authorize(head(origin=origin, fetch_site="cross-site"), TCP, policy)
    for origin in ("https://app.example.evil", "https://xapp.example", "http://:3000"):
        assert not origin_allowed(head(origin=origin), policy)
    anything = replace(POLICY, allow_origins=("*",))
    assert origin_allowed(head(origin="https://evil.example"), anything)
    assert not origin_allowed(head(origin="null"), anything)


# --- tokens ---


@pytest.mark.parametrize("keys", [(), (b"wrong",), (b"",), (b"sesam",), (b"sesame2",), (b"ses\xe4me",)])
def test_a_token_is_asked_for_on_every_tcp_request(keys: tuple[bytes, ...]) -> None:
    guarded = replace(POLICY, token="sesame")
    with pytest.raises(NotAuthorized):
        authorize(head(keys=keys), TCP, guarded)
    assert authorize(head(keys=(*keys, b"sesame")), TCP, guarded)
    assert authorize(head(keys=keys), UNIX, guarded)


def test_without_a_token_any_key_will_do() -> None:
    assert authorize(head(keys=(b"sk-whatever",)), TCP, POLICY)


def test_the_token_is_not_in_a_repr() -> None:
    assert "sesame" not in repr(replace(POLICY, token="sesame"))


# --- bodies ---


@pytest.mark.parametrize(
    ("content_type", "fields"),
    [
        ("application/json", {}),
        ("application/vnd.api+json", {}),
        ("multipart/form-data", {}),
        ("application/x-www-form-urlencoded", {"path": "/api/chat"}),
    ],
)
def test_json_and_multipart_are_taken_and_curls_form_type_on_ollamas_paths(
    content_type: str, fields: dict[str, str]
) -> None:
    assert authorize(posted(content_type, **fields), TCP, POLICY)


@pytest.mark.parametrize(
    ("content_type", "fields"),
    [
        ("text/plain", {}),
        ("", {}),
        ("application/jsonx", {}),
        ("application/x-www-form-urlencoded", {"path": "/v1/chat/completions"}),
        ("application/x-www-form-urlencoded", {"path": "/api/chat", "origin": "http://127.0.0.1:11435"}),
    ],
)
@pytest.mark.parametrize("peer", [UNIX, TCP])
def test_other_bodies_are_not(peer: Peer, content_type: str, fields: dict[str, str]) -> None:
    with pytest.raises(WrongContentType):
        authorize(posted(content_type, **fields), peer, POLICY)


def test_a_body_of_unknown_length_is_a_body_and_none_needs_no_type() -> None:
    with pytest.raises(WrongContentType):
        authorize(head(method="POST", chunked=True), TCP, POLICY)
    assert authorize(head(method="POST", content_length=0), TCP, POLICY)
    assert authorize(head(method="DELETE"), TCP, POLICY)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "application/json", "text/plain"])
def test_a_foreign_page_gets_no_body_in(content_type: str) -> None:
    with pytest.raises(Forbidden):
        authorize(posted(content_type, origin="https://evil.example"), TCP, POLICY)


def test_a_preflight_needs_neither_token_nor_type_but_an_allowed_origin() -> None:
    policy = replace(POLICY, token="sesame", allow_origins=("https://app.example",))
    asked = head(method="OPTIONS", preflight=True, origin="https://app.example")
    assert authorize(asked, TCP, policy)
    with pytest.raises(Forbidden):
        authorize(replace(asked, origin="https://evil.example"), TCP, policy)


# --- reading the head ---


def test_a_head_is_read_from_a_scope() -> None:
    scope = {
        "method": "POST",
        "path": "/v1/chat/completions",
        "server": ("127.0.0.1", 11435),
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"Application/JSON; charset=utf-8"),
            (b"content-length", b"12"),
            (b"authorization", b"bEARER  one"),
            (b"authorization", b"Basic dXNlcg=="),
            (b"x-api-key", b" two "),
            (b"user-agent", b"curl/8"),
        ],
    }
    assert Head.of(scope) == Head(
        method="POST",
        path="/v1/chat/completions",
        host="localhost",
        content_type="application/json",
        content_length=12,
        keys=(b"one", b"two"),
        user_agent="curl/8",
        server="127.0.0.1",
    )


@pytest.mark.parametrize("name", [b"host", b"origin", b"sec-fetch-site", b"content-type", b"content-length"])
def test_a_header_that_decides_may_not_be_there_twice(name: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        Head.of({"path": "/", "headers": [(name, b"1"), (name, b"1")]})
    assert refused.value.param == name.decode()


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_client_writes_is_decided_and_never_breaks(host: str, origin: str) -> None:
    try:
        authorize(head(host=host, origin=origin), TCP, POLICY)
    except RouterError as error:
        assert error.at_fault == "client"  # noqa: PT017
    else:
        assert origin.lower().endswith(host.lower())
