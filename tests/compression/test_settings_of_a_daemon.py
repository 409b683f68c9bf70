"""Every key of `[compression]`, and what else decides about a result, in two positions on one daemon."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.compression.desk import Desk, desk
from tests.compression.desk_server import TEXTS
from woollama.compression import restore

RETRIEVE = "woollama__retrieve"
Set = Callable[[str], None]


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    with desk() as made:
        yield made


@pytest.fixture
def settings(running: Desk) -> Iterator[Set]:
    yield running.settings
    running.settings("")


def lines_of(tool: str) -> list[str]:
    return TEXTS[tool].split("\n")


# --- levels and dialects

DIALECTS = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "?"}]}),
    "chat stream": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "?"}], "stream": True}),
    "responses": ("/v1/responses", {"input": "?"}),
    "responses stream": ("/v1/responses", {"input": "?", "stream": True}),
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": "?"}], "max_tokens": 900}),
    "messages stream": (
        "/v1/messages",
        {"messages": [{"role": "user", "content": "?"}], "max_tokens": 900, "stream": True},
    ),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": "?"}], "stream": False}),
    "ollama stream": ("/api/chat", {"messages": [{"role": "user", "content": "?"}]}),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_model_gets_back_a_line_that_was_left_out(dialect: str, running: Desk, settings: Set) -> None:
    """And says what it has read, in every dialect."""
    path, body = DIALECTS[dialect]
    settings("use_feedback_hints = false")
    first, looked_up = running.use("report", wish={"query": "12321"}, path=path, **body)
    assert first.startswith("[woollama: ")
    assert "object 12321" not in first
    assert "the shelf is full" in first
    assert len(first) < len(TEXTS["report"]) / 4
    assert looked_up == lines_of("report")[2222]
    assert "object 12321" in running.answer


def test_the_result_is_the_same_bytes_in_every_later_round(running: Desk) -> None:
    running.use("report", wish={"lines": "1"})
    rounds = [[m["content"] for m in seen["messages"] if m["role"] == "tool"] for seen in running.prompts]
    assert [len(results) for results in rounds] == [0, 1, 2]
    assert rounds[1][0] == rounds[2][0]
    assert all(seen["tools"] == running.prompts[0]["tools"] for seen in running.prompts)


def test_everything_comes_back_whole(running: Desk) -> None:
    assert running.use("report", wish={"max_tokens": 10_000_000})[1] == TEXTS["report"]


def test_the_question_of_the_turn_decides_what_stays(running: Desk) -> None:
    (result,) = running.use("people", "Which plan has user271@example.org?", recipe="narrow")
    assert "user271@example.org" in result
    assert "user272@example.org" not in result


def test_lossless_offers_no_tool_and_restores(running: Desk) -> None:
    (result,) = running.use("report", recipe="exact")
    assert RETRIEVE not in running.offered
    assert restore(result) == TEXTS["report"]
    assert len(result) < len(TEXTS["report"])


def test_off_touches_nothing(running: Desk) -> None:
    assert running.use("report", recipe="plain") == [TEXTS["report"]]
    assert RETRIEVE not in running.offered


def test_small_results_are_left_alone(running: Desk) -> None:
    assert running.use("zone", recipe="narrow") == [TEXTS["zone"]]


# --- the keys of [compression]: each in two positions, on the same daemon


@pytest.mark.parametrize("tool", ["report", "log"])  # in a process of its own, and in the daemon
@pytest.mark.parametrize(("enabled", "shortened"), [("true", True), ("false", False)])
def test_enabled(enabled: str, shortened: bool, tool: str, running: Desk, settings: Set) -> None:
    settings(f"enabled = {enabled}")
    (result,) = running.use(tool)
    assert result.startswith("[woollama: ") is shortened
    assert (RETRIEVE in running.offered) is shortened
    if not shortened:
        assert result == TEXTS[tool]


@pytest.mark.parametrize("tool", ["report", "log"])
@pytest.mark.parametrize(("inject", "shortened"), [("true", True), ("false", False)])
def test_inject_retrieval_marker(inject: str, shortened: bool, tool: str, running: Desk, settings: Set) -> None:
    settings(f"inject_retrieval_marker = {inject}")
    (result,) = running.use(tool)
    assert result.startswith("[woollama: ") is shortened
    assert (RETRIEVE in running.offered) is shortened
    if not shortened:
        assert restore(result) == TEXTS[tool]


def test_use_feedback_hints(running: Desk, settings: Set) -> None:
    wanted = lines_of("hinted")[403]
    first, looked_up = running.use("hinted", wish={"query": "777123"})
    assert (wanted in first, looked_up) == (False, wanted)
    settings("use_feedback_hints = false")
    assert wanted not in running.use("hinted")[0]
    settings("use_feedback_hints = true")
    assert wanted in running.use("hinted")[0]


class Keys:
    """A scorer that likes keys."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return [float("locker" in text) for text in texts]


@pytest.mark.parametrize(("scorer", "kept"), [("bm25", False), (f"{__name__}:Keys", True)])
def test_scorer(scorer: str, kept: bool, running: Desk, settings: Set) -> None:
    settings(f'scorer = "{scorer}"')
    assert (lines_of("things")[402] in running.use("things", "where is it?")[0]) is kept


@pytest.mark.parametrize(("globs", "exact"), [('["desk.rep*"]', True), ('["x"]', False)])
def test_exclude_tools(globs: str, exact: bool, running: Desk, settings: Set) -> None:
    settings(f"exclude_tools = {globs}")
    assert (running.use("report") == [TEXTS["report"]]) is exact


def test_levels_by_tool(running: Desk, settings: Set) -> None:
    settings('tools = { "desk.report" = "lossless" }')
    assert restore(running.use("report")[0]) == TEXTS["report"]
    assert running.use("log")[0].startswith("[woollama: ")


def test_no_level_of_a_tool_leaves_out_what_a_recipe_cannot_have_back(running: Desk, settings: Set) -> None:
    settings('tools = { "desk.*" = "aggressive" }')
    (result,) = running.use("report", recipe="exact")
    assert restore(result) == TEXTS["report"] != result
    assert running.use("report", recipe="desk")[0].startswith("[woollama: ")


@pytest.mark.parametrize(("tokens", "most"), [(400, 3000), (8000, 30_000)])
def test_auto_tokens(tokens: int, most: int, running: Desk, settings: Set) -> None:
    settings(f"auto_tokens = {tokens}")
    assert most / 3 < len(running.use("report")[0]) < most


@pytest.mark.parametrize("tool", ["report", "log"])
def test_a_store_without_room_means_that_nothing_is_left_out(tool: str, running: Desk, settings: Set) -> None:
    settings("originals = 1")
    assert restore(running.use(tool)[0]) == TEXTS[tool]


def test_min_tokens(running: Desk, settings: Set) -> None:
    settings("min_tokens = 100000")
    assert running.use("log") == [TEXTS["log"]]
    settings("min_tokens = 200")
    assert running.use("log") != [TEXTS["log"]]


@pytest.mark.parametrize(("key", "recipe"), [("auto_above_tokens", "desk"), ("aggressive_above_tokens", "narrow")])
def test_above_so_many_tokens_something_is_left_out(key: str, recipe: str, running: Desk, settings: Set) -> None:
    settings(f"{key} = 100000")
    (result,) = running.use("log", recipe=recipe)
    assert restore(result) == TEXTS["log"] != result
    settings(f"{key} = 500")
    (result,) = running.use("log", recipe=recipe)
    assert result.startswith("[woollama: ")


def test_aggressive_tokens(running: Desk, settings: Set) -> None:
    settings("aggressive_tokens = 120")
    (little,) = running.use("people", recipe="narrow")
    settings("aggressive_tokens = 3000")
    (more,) = running.use("people", recipe="narrow")
    assert len(little) < 0.8 * len(more)


MEANING = """
class TextEmbedding:
    '''Knows that a cupboard may be a locker, and nothing else.'''
    def embed(self, texts):
        for text in texts:
            yield [float("locker" in text or "cupboard" in text), 0.01]
"""


@pytest.mark.parametrize("scorer", ["embedding", "hybrid"])
def test_a_scorer_by_meaning(
    scorer: str, running: Desk, settings: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small model in the place of fastembed's: what answers shares no word with the question."""
    (tmp_path / "fastembed.py").write_text(MEANING)
    monkeypatch.setitem(sys.modules, "fastembed", None)
    wanted = next(line for line in lines_of("things") if "locker" in line)
    question = "Which cupboard?"
    assert wanted not in running.use("things", question)[0]
    monkeypatch.delitem(sys.modules, "fastembed")
    monkeypatch.syspath_prepend(tmp_path)
    settings(f'scorer = "{scorer}"')
    assert wanted in running.use("things", question)[0]


def test_keep(running: Desk, settings: Set) -> None:
    def an_hour_passes() -> None:
        with sqlite3.connect(running.directory / "state" / "originals.db") as originals:
            originals.execute("update originals set used = used - 3600")

    settings('keep = "1d"')
    assert running.use("kept", wish={"lines": "1"}, meanwhile=an_hour_passes)[1] == lines_of("kept")[0]
    settings('keep = "30m"')
    assert "nothing is stored under" in running.use("kept", wish={"lines": "1"}, meanwhile=an_hour_passes)[1]


def test_a_reload_keeps_what_was_learned_stored_and_booked(running: Desk, settings: Set) -> None:
    running.use("counted")
    before = running.get("/w1/compression")["total"]["blocks"]
    settings("min_tokens = 201")
    assert running.get("/w1/compression")["total"]["blocks"] == before
    assert running.use("kept", wish={"lines": "2"})[1] == lines_of("kept")[1]
