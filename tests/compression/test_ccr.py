"""CCR and CacheAligner for programs that speak to a provider themselves; TOIN and the ledger behind the daemon."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from woollama.compression import SqlOriginals
from woollama.compression.cache_aligner import CacheAligner, Difference
from woollama.compression.ccr import CcrResponseHandler, CcrToolCall, CcrToolInjector, Wire
from woollama.compression.ledger import Ledger
from woollama.compression.toin import Toin

NAME = "woollama__retrieve"
WISH = {"ref": "a" * 32, "lines": "2"}
RESPONSES: dict[Wire, dict[str, Any]] = {
    "chat": {
        "choices": [
            {
                "message": {
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "other", "arguments": "{}"}},
                        {"id": "c2", "type": "function", "function": {"name": NAME, "arguments": json.dumps(WISH)}},
                    ]
                }
            }
        ]
    },
    "responses": {
        "output": [
            {"type": "message", "content": []},
            {"type": "function_call", "call_id": "c2", "name": NAME, "arguments": json.dumps(WISH)},
        ]
    },
    "anthropic": {"content": [{"type": "text"}, {"type": "tool_use", "id": "c2", "name": NAME, "input": WISH}]},
}


@pytest.mark.parametrize("wire", RESPONSES)
def test_a_call_is_read_run_and_answered_in_its_dialect(wire: Wire) -> None:
    originals = SqlOriginals()
    originals.put("a" * 32, "one\ntwo\nthree")
    (call,) = CcrResponseHandler().parse_response(RESPONSES[wire], wire)
    assert call == CcrToolCall("c2", WISH, wire)
    result = call.run(originals, ["a" * 32])
    assert (result.text, result.is_error) == ("two", False)
    assert "two" in json.dumps(result.as_message())
    assert "c2" in json.dumps(result.as_message())


@pytest.mark.parametrize("wire", RESPONSES)
def test_the_tool_is_injected_once(wire: Wire) -> None:
    injector = CcrToolInjector()
    once = injector.inject_tool([{"name": "mine"}], wire)
    assert [NAME in json.dumps(tool) for tool in once] == [False, True]
    assert injector.inject_tool(once, wire) == once
    assert injector.inject_tool(None, wire) == once[1:]


def test_refs_that_were_not_given_out_are_refused() -> None:
    originals = SqlOriginals()
    originals.put("a" * 32, "secret")
    call = CcrToolCall("c", {"ref": "a" * 32}, "anthropic")
    assert call.run(originals, []).is_error
    assert CcrToolCall("c", {"ref": "b" * 32}, "chat").run(originals).is_error
    assert CcrToolCall("c", {"ref": "a" * 32, "lines": "x"}, "chat").run(originals).is_error
    assert call.run(originals).text == "secret"


def test_broken_arguments_are_no_call_that_leads_anywhere() -> None:
    broken = {"output": [{"type": "function_call", "call_id": "c", "name": NAME, "arguments": '{"ref": '}]}
    (call,) = CcrResponseHandler().parse_response(broken, "responses")
    assert call.run(SqlOriginals()).is_error


def test_tools_are_put_in_one_order_and_nothing_else_is_touched() -> None:
    aligner = CacheAligner()
    request = {"tools": [{"name": "b"}, {"function": {"name": "a"}}], "system": "s", "messages": [{"role": "user"}]}
    aligned = aligner.align(request)
    assert [tool.get("name", "a") for tool in aligned["tools"]] == ["a", "b"]
    assert {**aligned, "tools": 0} == {**request, "tools": 0}
    marked = {"tools": [{"name": "b", "cache_control": {"type": "ephemeral"}}, {"name": "a"}]}
    assert aligner.align(marked) == marked


def test_the_first_difference_is_named() -> None:
    before = {"tools": [{"name": "a"}], "system": "be kind", "messages": [{"content": "1"}, {"content": "2"}]}
    grown = {**before, "messages": [*before["messages"], {"content": "3"}]}
    compare = CacheAligner().compare
    assert compare(before, grown) is None
    assert compare(before, {**grown, "system": "be quick"}) == Difference("system", 13)
    assert compare(before, {**before, "messages": [{"content": "1"}]}) == Difference("message 2", 38)
    assert compare(before, {**grown, "tools": [{"name": "b"}]}) == Difference("tool a", 0)


def test_what_was_looked_up_is_remembered_by_tool(tmp_path: Path) -> None:
    first = Toin(tmp_path / "looked-up.db")
    for hint in ("locker", "spare  key\n", "spare key", ""):
        first.learn("archive.report", hint)
    first.close()
    assert Toin(tmp_path / "looked-up.db").hints("archive.report") == ("spare key", "locker")
    assert Toin(tmp_path / "looked-up.db").hints("other") == ()


def test_memory_has_bounds_and_forgets_what_was_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("woollama.compression.toin.MOST_KEPT", 3)
    monkeypatch.setattr("woollama.compression.toin.MOST_TOOLS", 2)
    toin = Toin()
    for number in range(5):
        toin.learn("first", f"hint {number}")
    assert toin.hints("first") == ("hint 4", "hint 3", "hint 2")
    for tool in ("second", "first", "third"):
        toin.learn(tool, "x" * 500)
    assert toin.hints("second") == ()
    assert [len(hint) for hint in toin.hints("third")] == [160]
    assert toin.hints("first")


def test_a_broken_memory_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    toin = Toin(tmp_path / "file" / "looked-up.db")
    toin.learn("t", "h")
    assert toin.hints("t") == ()
    assert toin.broken == 2


def test_a_tool_for_which_leaving_out_does_not_pay_is_switched_off() -> None:
    ledger = Ledger()
    for _ in range(5):
        ledger.compressed("r", "t", before=5000, after=1000, reason="selective", left_out=True, took_s=0.01)
        assert ledger.is_worthwhile("r", "t")
        ledger.retrieved("r", "t", 5000)
    assert not ledger.is_worthwhile("r", "t")
    (account,) = ledger.as_json()["data"]
    assert (account["switched_off"], account["net_tokens"], account["blocks"]) == (True, -5000, 5)


def test_the_books_outlive_the_daemon_and_add_up_over_several(tmp_path: Path) -> None:
    def enter(ledger: Ledger) -> None:
        ledger.compressed("r", "t", before=900, after=300, reason="selective", left_out=True, took_s=0.25)
        ledger.retrieved("r", "t", 100)
        ledger.missed("r", 400)
        ledger.save()

    path = tmp_path / "books.db"
    one, other = Ledger(path), Ledger(path)
    enter(one)
    enter(other)
    for ledger in (one, other):
        ledger.close()
    told = Ledger(path).as_json()
    assert [(each["tool"], each["blocks"], each["net_tokens"]) for each in told["data"]] == [
        ("t", 2, 1000),
        ("", 0, -200),
    ]
    assert told["total"]["cache_tokens_lost"] == 200
    assert told["total"]["reasons"] == {"selective": 2}
    assert told["since"] == one.as_json()["since"]


def test_books_that_cannot_be_kept_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    ledger = Ledger(tmp_path / "file" / "books.db")
    ledger.retrieved("r", "t", 100)
    ledger.save()
    assert (ledger.broken, ledger.as_json()["total"]["tokens_retrieved"]) == (1, 100)
    (tmp_path / "books.db").write_bytes(b"this is no database" * 300)
    damaged = Ledger(tmp_path / "books.db")
    damaged.retrieved("r", "t", 100)
    assert (damaged.broken, damaged.as_json()["total"]["retrievals"]) == (1, 1)


def test_nobody_waits_while_the_books_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "books.db")
    ledger.retrieved("r", "t", 100)

    def meanwhile(*_: object) -> None:
        entering = threading.Thread(target=ledger.retrieved, args=("r", "t", 20), daemon=True)
        entering.start()
        entering.join(timeout=60)
        assert not entering.is_alive()

    with monkeypatch.context() as slow:
        slow.setattr("woollama.compression.ledger._add", meanwhile)
        ledger.save()
    assert ledger.as_json()["total"]["tokens_retrieved"] == 120


def test_books_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("woollama.compression.ledger.MOST_ACCOUNTS", 3)
    ledger = Ledger(tmp_path / "books.db")
    for number in range(6):
        ledger.retrieved("r", f"t{number}", 1)
        ledger.save()
    assert sorted(each["tool"] for each in Ledger(tmp_path / "books.db").as_json()["data"]) == ["t3", "t4", "t5"]
