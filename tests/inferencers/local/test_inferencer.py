"""Embedded models in processes of their own, under the real supervisor; llama.cpp itself is a stand-in here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes.living import is_alive
from woollama.domain.answers import Answer
from woollama.domain.errors import NotSetUp, RouterError, UnknownModel, UpstreamBroke, UpstreamTimeout
from woollama.domain.messages import Message, Text
from woollama.domain.turns import Call, Target
from woollama.http.transport import HttpClient
from woollama.inferencers.local.inferencer import LocalInferencer
from woollama.inferencers.managed.model_process import ModelProcess
from woollama.inferencers.managed.roster import Roster
from woollama.processes.children import Supervisor
from woollama.processes.environment import model_environment

FAKE_LLAMA = Path(__file__).with_name("fake_llama")
DEADLINE_S = 60.0


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor() as running:
        yield running
        assert running.children == ()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@asynccontextmanager
async def serving(supervisor: Supervisor, directory: Path, **more: Any) -> AsyncIterator[LocalInferencer]:
    client = HttpClient()
    ours = {**os.environ, "PYTHONPATH": str(FAKE_LLAMA), "LC_ALL": "C"}
    ours |= {"OPENAI_API_KEY": "a secret", "LLAMA_API_KEY": "a secret, too"}
    environ = model_environment(ours)
    roster = Roster()
    inferencer = LocalInferencer("local", supervisor, client, roster, directory, environ=environ, **more)
    try:
        yield inferencer
    finally:
        await roster.close()
        await client.aclose()


def weights(directory: Path, name: str = "small", **behaviour: Any) -> Path:
    path = directory / f"{name}.gguf"
    path.write_text(json.dumps(behaviour))
    return path


def asked(model: str = "small", text: str = "hello") -> Call:
    return Call(Target("local", model), (Message("user", (Text(text),)),))


async def ask(inferencer: LocalInferencer, call: Call) -> dict[str, Any]:
    """Everything that the stand-in says, as one object."""
    async with asyncio.timeout(DEADLINE_S), inferencer.answer(call) as events:
        answer = Answer([event async for event in events])
    said: dict[str, Any] = {}
    for line in answer.text.splitlines():
        said |= json.loads(line)
    return said


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what another process does has no event here
            await asyncio.sleep(0.01)


def small(inferencer: LocalInferencer) -> ModelProcess:
    return inferencer.process_of(Target("local", "small"))


def starts(path: Path) -> int:
    return len(path.with_suffix(".starts").read_text().splitlines())


async def test_the_first_question_starts_the_model_and_the_next_finds_it(
    supervisor: Supervisor, directory: Path
) -> None:
    path = weights(directory)
    async with serving(supervisor, directory) as local:
        first = await ask(local, asked(text="one"))
        second = await ask(local, asked(text="two"))
        assert first["pid"] == second["pid"] == small(local).pid
        assert (first["asked"], second["asked"]) == ("one", "two")
    assert starts(path) == 1
    assert not is_alive(first["pid"])


async def test_all_who_come_while_it_starts_share_one_start(supervisor: Supervisor, directory: Path) -> None:
    gate = directory / "gate"
    os.mkfifo(gate)
    path = weights(directory, gate=str(gate))
    async with serving(supervisor, directory) as local:
        questions = [asyncio.create_task(ask(local, asked(text=str(number)))) for number in range(5)]
        await until(lambda: path.with_suffix(".starts").exists())
        questions[0].cancel()
        await asyncio.to_thread(gate.write_bytes, b"")
        answers = await asyncio.gather(*questions[1:])
    assert [answer["asked"] for answer in answers] == ["1", "2", "3", "4"]
    assert starts(path) == 1


async def test_a_model_that_died_is_started_again_by_the_next_question(supervisor: Supervisor, directory: Path) -> None:
    path = weights(directory)
    async with serving(supervisor, directory) as local:
        first = await ask(local, asked())
        os.kill(first["pid"], signal.SIGKILL)
        await until(lambda: small(local).pid is None)
        second = await ask(local, asked())
    assert first["pid"] != second["pid"]
    assert starts(path) == 2


async def test_a_model_that_dies_while_it_answers_is_an_upstream_that_broke(
    supervisor: Supervisor, directory: Path
) -> None:
    hold = directory / "hold"
    os.mkfifo(hold)
    weights(directory, hold=str(hold))

    async def killed_while_it_answers(local: LocalInferencer) -> None:
        async with local.answer(asked()) as events:
            await anext(events)
            pid = small(local).pid
            assert pid
            os.kill(pid, signal.SIGKILL)
            [event async for event in events]

    async with serving(supervisor, directory) as local:
        with pytest.raises(UpstreamBroke, match="its process was killed by signal 9"):
            await killed_while_it_answers(local)


async def test_an_idle_model_is_stopped_and_comes_back(supervisor: Supervisor, directory: Path) -> None:
    path = weights(directory)
    async with serving(supervisor, directory, idle_s=0.01) as local:
        first = await ask(local, asked())
        await until(lambda: not is_alive(first["pid"]))
        assert small(local).pid is None
        await ask(local, asked())
    assert starts(path) == 2


async def test_a_model_that_answers_is_not_idle(supervisor: Supervisor, directory: Path) -> None:
    hold = directory / "hold"
    os.mkfifo(hold)
    path = weights(directory, hold=str(hold))
    async with serving(supervisor, directory, idle_s=0.0) as local:
        async with local.answer(asked(text="long")) as events:
            long = [await anext(events)]
            async with local.answer(asked(text="short")) as short:
                await anext(short)  # and leaves
            await asyncio.to_thread(hold.write_bytes, b"")
            long += [event async for event in events]
        assert '"asked": "long"' in Answer(long).text
        assert starts(path) == 1


async def test_the_process_gets_what_it_needs_and_no_secret(supervisor: Supervisor, directory: Path) -> None:
    weights(directory)
    async with serving(supervisor, directory, context_tokens=1234) as local:
        said = await ask(local, asked())
    assert said["n_ctx"] == 1234
    assert said["env"]["LC_ALL"] == "C"
    assert "a secret" not in json.dumps(said["env"])
    assert len(said["argv"]) == 1


async def test_a_gguf_file_anywhere_is_a_model_by_its_path(
    supervisor: Supervisor, directory: Path, tmp_path: Path
) -> None:
    path = weights(tmp_path, "my own model")
    async with serving(supervisor, directory) as local:
        assert (await ask(local, asked(str(path))))["asked"] == "hello"


async def test_it_lists_the_models_that_are_there(supervisor: Supervisor, directory: Path) -> None:
    weights(directory, "b")
    weights(directory, "a")
    (directory / ".pull-1").mkdir()
    async with serving(supervisor, directory) as local:
        assert await local.list_models() == ["a", "b"]


async def test_weights_that_can_be_pulled_say_how(supervisor: Supervisor, directory: Path) -> None:
    async with serving(supervisor, directory) as local:
        with pytest.raises(UnknownModel, match="woollama pull smollm2"):
            await ask(local, asked("smollm2"))


@pytest.mark.parametrize("model", ["other", "../small", "sub/small", "/nowhere/at all.gguf", "", ".hidden"])
async def test_other_names_are_unknown_models(supervisor: Supervisor, directory: Path, model: str) -> None:
    weights(directory.parent)
    async with serving(supervisor, directory) as local:
        with pytest.raises(UnknownModel):
            await ask(local, asked(model))


async def test_without_llama_cpp_it_says_what_to_install(supervisor: Supervisor, directory: Path) -> None:
    weights(directory, missing=True)
    async with serving(supervisor, directory) as local:
        with pytest.raises(NotSetUp, match=r"pip install 'woollama\[local\]'") as failed:
            await ask(local, asked())
    assert failed.value.code == "not_installed"


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [({"broken": "invalid magic"}, "gguf_init: invalid magic"), ({"dies": True}, "exited with code 7")],
)
async def test_weights_that_cannot_be_loaded_say_why(
    supervisor: Supervisor, directory: Path, behaviour: dict[str, Any], why: str
) -> None:
    weights(directory, **behaviour)
    async with serving(supervisor, directory) as local:
        with pytest.raises(RouterError, match=why):
            await ask(local, asked())


async def test_a_start_that_takes_too_long_is_given_up(supervisor: Supervisor, directory: Path) -> None:
    gate = directory / "gate"
    os.mkfifo(gate)
    weights(directory, gate=str(gate))
    async with serving(supervisor, directory, start_timeout_s=0.01) as local:
        with pytest.raises(UpstreamTimeout):
            await ask(local, asked())


async def test_closing_ends_a_model_that_is_still_loading(supervisor: Supervisor, directory: Path) -> None:
    gate = directory / "gate"
    os.mkfifo(gate)
    path = weights(directory, gate=str(gate))
    async with serving(supervisor, directory) as local:
        question = asyncio.create_task(ask(local, asked()))
        await until(lambda: path.with_suffix(".starts").exists())
    with pytest.raises(asyncio.CancelledError):
        await question
