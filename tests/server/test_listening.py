"""Addresses as people write them, and the files of an instance."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.ports import OwnPort
from tests.server.daemons import needs_ipv6
from woollama.platform import Unsafe
from woollama.server import listening as listening_module
from woollama.server.listening import (
    DEFAULT_PORT,
    AddressUnusable,
    AlreadyRunning,
    Listening,
    join_address,
    parse_address,
)

ANY = ("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (" localhost:0 ", ("localhost", 0)),
        ("localhost", ("localhost", DEFAULT_PORT)),
        (":8080", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::1]", ("::1", DEFAULT_PORT)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["::1:80", "localhost:http", "localhost:70000", "localhost:-1", "a:b:1"])
def test_what_is_no_address_is_told_with_an_example(text: str) -> None:
    with pytest.raises(AddressUnusable, match=str(DEFAULT_PORT)):
        parse_address(text)


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert join_address(("::1", 80)) == "[::1]:80"
    assert join_address(("127.0.0.1", 80)) == "127.0.0.1:80"


def test_the_default_port_is_taken_and_any_free_one_when_it_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    (tmp_path / "b").mkdir(mode=0o700)
    with Listening(tmp_path / "a") as first, Listening(tmp_path / "b") as second:
        first.open()  # has the default port, unless somebody on this machine has it already
        second.open()
        assert first.address is not None
        assert second.address is not None
        assert second.address[0] == "127.0.0.1"
        assert second.address[1] not in (0, first.address[1])
        assert second.url == f"http://127.0.0.1:{second.address[1]}"


def test_another_that_listens_at_the_default_port_in_the_moment_between_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind = listening_module._bind
    with OwnPort() as own, socket.socket() as other:

        def beaten(address: tuple[str, int]) -> socket.socket:
            sock = bind(address)
            if address[1] == own.number:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(address)
                other.listen()
            return sock

        monkeypatch.setattr(listening_module, "DEFAULT_PORT", own.number)
        monkeypatch.setattr(listening_module, "_bind", beaten)
        with Listening(tmp_path) as listening:
            listening.open()
            assert listening.address is not None
            assert listening.address[1] not in (0, own.number)


def test_every_file_is_gone_afterwards_and_closing_twice_is_fine(tmp_path: Path) -> None:
    with Listening(tmp_path) as listening:
        listening.open(ANY)
        assert sorted(os.listdir(tmp_path)) == ["woollama.addr", "woollama.lock", "woollama.sock"]
        assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
        listening.close()
        assert os.listdir(tmp_path) == []
    with Listening(tmp_path) as again:
        again.open(ANY)


def test_the_mask_of_the_process_is_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with Listening(tmp_path) as listening:
            listening.open(ANY)
            assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_second_one_neither_gets_in_nor_removes_anything(tmp_path: Path) -> None:
    with Listening(tmp_path) as first:
        first.open(ANY)
        with Listening(tmp_path) as second, pytest.raises(AlreadyRunning, match=str(os.getpid())):
            second.open(ANY)
        assert len(os.listdir(tmp_path)) == 3
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(first.unix_path))


def test_a_socket_that_somebody_put_in_place_of_ours_is_not_removed(tmp_path: Path) -> None:
    with Listening(tmp_path) as listening, socket.socket(socket.AF_UNIX) as other:
        listening.open(ANY)
        listening.unix_path.unlink()
        other.bind(str(listening.unix_path))
        listening.close()
        assert os.listdir(tmp_path) == ["woollama.sock"]


def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "woollama.sock").write_text("precious")
    with Listening(tmp_path) as listening, pytest.raises(Unsafe, match="not a socket"):
        listening.open(ANY)
    assert os.listdir(tmp_path) == ["woollama.sock"]
    assert (tmp_path / "woollama.sock").read_text() == "precious"


def test_a_failure_half_way_leaves_nothing(tmp_path: Path) -> None:
    with Listening(tmp_path) as listening, pytest.raises(AddressUnusable):
        listening.open(("192.0.2.1", 80))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["woollama.lock", "woollama.addr.new"])
def test_a_file_that_cannot_be_written_is_told_and_the_others_are_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(AddressUnusable, match="cannot be written"), Listening(tmp_path) as listening:
        listening.open(ANY)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir(mode=0o700)
    with Listening(deep) as listening, pytest.raises(AddressUnusable, match="XDG_RUNTIME_DIR"):
        listening.open(ANY)
    assert os.listdir(deep) == []


@pytest.mark.parametrize("address", [("0.0.0.0", 0), pytest.param(("::", 0), marks=needs_ipv6)])
def test_other_machines_are_let_in_only_on_purpose(tmp_path: Path, address: tuple[str, int]) -> None:
    with Listening(tmp_path) as listening, pytest.raises(Unsafe, match="WOOLLAMA_TOKEN"):
        listening.open(address)
    with Listening(tmp_path) as listening:
        listening.open(address, allow_remote=True)
        assert listening.address is not None
        assert listening.url in (f"http://127.0.0.1:{listening.address[1]}", f"http://[::1]:{listening.address[1]}")


def test_a_passed_socket_that_other_machines_can_reach_needs_a_token_too(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as passed, Listening(tmp_path) as listening, pytest.raises(Unsafe):
        listening.open(passed=[passed])
