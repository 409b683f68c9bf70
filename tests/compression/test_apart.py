"""Large texts in a process of their own: the same results, and nobody else is harmed by what a text does to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.compression.texts import SAMPLES
from tests.processes.watching import ENVIRONMENT, PATIENCE_S, Deaths
from woollama.compression import ContentRouter, Policy, SqlOriginals
from woollama.compression.apart import PROGRAM, Apart
from woollama.compression.router import Compressed
from woollama.compression.shrinking import APART_CHARS, Shrinking
from woollama.processes.children import Supervisor

NASTY = """
import os, time
from woollama.compression import worker
made = worker.ContentRouter.compress
def compress(self, text, **about):
    if text.startswith("crash"):
        os._exit(3)
    while text.startswith("hang"):
        time.sleep(60)
    return made(self, text, **about)
worker.ContentRouter.compress = compress
worker.main()
"""
"""The real worker, which does what some text would have to find a defect for."""
TEXT = "\n".join(f"{i} INFO stored object {i * 7919 % 9973} in {i % 41} ms" for i in range(3000))


@asynccontextmanager
async def apart(directory: Path, *program: str, **bounds: Any) -> AsyncIterator[tuple[Shrinking, Apart, Supervisor]]:
    async with Supervisor() as supervisor:
        process = Apart(supervisor, ENVIRONMENT, program=program or PROGRAM, **bounds)
        shrinking = Shrinking(Policy(), directory, max_bytes=2**28, max_age_s=1000, apart=process)
        try:
            yield shrinking, process, supervisor
        finally:
            await shrinking.close()


async def made(shrinking: Shrinking, text: str, **about: Any) -> Compressed:
    async with asyncio.timeout(PATIENCE_S):
        return await shrinking.compress(text, **{"level": "auto", "query": "", "tool": "t", **about})


def here(text: str, **about: Any) -> Compressed:
    return ContentRouter(originals=SqlOriginals()).compress(text, **{"level": "auto", **about})


@pytest.mark.parametrize("name", ["build", "documents", "changes", "prose", "source", "one_long_word"])
async def test_it_is_the_same_as_in_the_daemon_itself(name: str, tmp_path: Path) -> None:
    sample = next(sample for sample in SAMPLES if sample.name == name)
    about = {"query": sample.query, "tool": sample.tool}
    async with apart(tmp_path) as (shrinking, process, _):
        done = await made(shrinking, sample.text, **about)
        assert process.starts == (len(sample.text) > APART_CHARS)
        expected = here(sample.text, **about)
        assert (done.text, done.reason, done.refs) == (expected.text, expected.reason, expected.refs)
        assert not done.refs or await shrinking.retrieve({"ref": done.refs[0]}) == sample.text


async def test_a_text_that_is_no_utf_8_comes_back_as_it_went(tmp_path: Path) -> None:
    text = "".join(f"\udcff\r\n{i} \ud83d\n" for i in range(9000))
    async with apart(tmp_path) as (shrinking, _, _):
        done = await made(shrinking, text)
        assert done.text == here(text).text
        assert not done.refs or await shrinking.retrieve({"ref": done.refs[0]}) == text


async def test_nothing_of_a_large_text_is_done_in_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Compressed:
        raise AssertionError("in the daemon's own process")

    expected = here(TEXT)
    async with apart(tmp_path) as (shrinking, _, _):
        monkeypatch.setattr(ContentRouter, "compress", refuse)
        results = await asyncio.gather(*(made(shrinking, TEXT) for _ in range(8)))
    assert [done.text for done in results] == [expected.text] * 8


async def test_small_texts_start_no_process(tmp_path: Path) -> None:
    async with apart(tmp_path) as (shrinking, process, supervisor):
        await made(shrinking, TEXT[:20_000])
        await made(shrinking, TEXT, level="off")
        await made(shrinking, TEXT, tool="Read")
        assert (process.starts, supervisor.children) == (0, ())


@pytest.mark.parametrize(("text", "reason"), [("crash", "the worker failed"), ("hang", "took too long")])
async def test_a_hostile_text_stays_as_it_is_and_harms_nobody(text: str, reason: str, tmp_path: Path) -> None:
    hostile = text + 2 * TEXT

    def limit_s(size_bytes: int) -> float:
        return 0.5 if size_bytes > len(hostile) and text == "hang" else PATIENCE_S

    async with apart(tmp_path, sys.executable, "-P", "-c", NASTY, limit_s=limit_s) as (shrinking, process, _):
        gathered = await asyncio.gather(made(shrinking, TEXT), made(shrinking, hostile), made(shrinking, TEXT + "."))
        assert (gathered[1].text, gathered[1].reason) == (hostile, reason)
        assert [done.reason for done in (gathered[0], gathered[2])] == ["selective"] * 2
        assert process.starts == 2
        assert (await made(shrinking, hostile)).reason == reason
        assert process.starts == 2
        assert shrinking.statistics()["total"]["reasons"][reason] == 2
    async with apart(tmp_path) as (shrinking, process, _):  # decided once is decided
        assert (await made(shrinking, hostile)).reason == reason
        assert process.starts == 0


@pytest.mark.parametrize("program", [("/nowhere/python",), (sys.executable, "-c", "pass")])
async def test_without_a_process_the_daemon_does_it_itself(program: tuple[str, ...], tmp_path: Path) -> None:
    async with apart(tmp_path, *program) as (shrinking, process, _):
        assert (await made(shrinking, TEXT)).text == here(TEXT).text
        assert process.starts == 0
        assert (await made(shrinking, TEXT + ".")).reason == "selective"


async def test_whoever_leaves_takes_nobody_elses_answer_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with apart(tmp_path) as (shrinking, _, supervisor):
        spawned, spawn = asyncio.Event(), supervisor.spawn

        async def told(*given: Any, **about: Any) -> Any:
            child = await spawn(*given, **about)
            spawned.set()
            return child

        monkeypatch.setattr(supervisor, "spawn", told)
        leaving = asyncio.create_task(made(shrinking, TEXT))
        await asyncio.wait_for(spawned.wait(), PATIENCE_S)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        other = "\n".join(reversed(TEXT.split("\n")))
        assert (await made(shrinking, other)).text == here(other).text


async def test_it_is_gone_when_nobody_has_used_it_for_a_while_and_comes_back(tmp_path: Path) -> None:
    async with apart(tmp_path, idle_s=0.01) as (shrinking, process, supervisor):
        await made(shrinking, TEXT)
        for child in supervisor.children:
            await asyncio.wait_for(child.closed.wait(), PATIENCE_S)
        assert (await made(shrinking, TEXT)).reason == "selective"
        assert process.starts == 2


async def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    async with apart(tmp_path) as (shrinking, _, supervisor):
        await made(shrinking, TEXT)
        (child,) = supervisor.children
        deaths = Deaths([child.pid])
        assert (child.kind, child.name) == ("worker", "compression")
        await shrinking.close()
        await deaths.all()
        assert supervisor.children == ()
