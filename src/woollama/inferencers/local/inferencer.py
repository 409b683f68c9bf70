"""Models that run on this machine inside woollama's own processes: `api = "local"`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from woollama.domain.events import Event
from woollama.domain.ports import Spawner
from woollama.domain.turns import Call, Target
from woollama.http.request import Patience
from woollama.http.transport import HttpClient
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.local.embedded import EmbeddedModel
from woollama.inferencers.local.weights import find, names_in
from woollama.inferencers.managed.model_process import ModelProcess, Served, Tell
from woollama.inferencers.managed.roster import Roster
from woollama.inferencers.openai.inferencer import OpenAIInferencer

DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_START_TIMEOUT_S = 120.0
DEFAULT_IDLE_S = 600.0


class LocalInferencer:
    """Implements `domain.ports.Inferencer`: each model, when it is asked, by a process of its own, kept in `roster`.

    `directory` holds the pulled models; `environ` is the environment of the processes.
    """

    def __init__(
        self,
        name: str,
        spawner: Spawner,
        client: HttpClient,
        roster: Roster,
        directory: Path,
        *,
        environ: Mapping[str, str],
        context_tokens: int = 0,
        patience: Patience | None = None,
        start_timeout_s: float = DEFAULT_START_TIMEOUT_S,
        idle_s: float = DEFAULT_IDLE_S,
        swap_group: str = "",
    ) -> None:
        self.name = name
        self._spawner = spawner
        self._client = client
        self._roster = roster
        self._directory = directory
        self._environ = dict(environ)
        self._context_tokens = context_tokens or DEFAULT_CONTEXT_TOKENS
        self._patience = patience or Patience(first_byte_s=600.0)
        self._start_timeout_s = start_timeout_s
        self._idle_s = idle_s
        self._swap_group = swap_group

    def __repr__(self) -> str:
        return f"<LocalInferencer {self.name!r} in {self._directory}>"

    async def list_models(self) -> Sequence[str]:
        return names_in(self._directory)

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        async with self.process_of(call.target).in_use() as served, self._at(served).answer(call) as events:
            yield events

    def process_of(self, target: Target) -> ModelProcess:
        """The process for one of our models, running or not. Raises `UnknownModel`."""
        path = find(target.model, self._directory)
        # A file is one process, under whichever of its names it is asked for.
        model = path.stem if path.parent == self._directory else str(path)
        name = f"{self.name}/{model}"
        spec = (path, self._context_tokens, self._start_timeout_s, self._idle_s, self._swap_group)

        def make(tell: Tell) -> ModelProcess:
            program = EmbeddedModel(
                name, path, self._spawner, environ=self._environ, context_tokens=self._context_tokens
            )
            return ModelProcess(
                name,
                program,
                start_timeout_s=self._start_timeout_s,
                idle_s=self._idle_s,
                swap_group=self._swap_group,
                tell=tell,
            )

        return self._roster.process(name, spec, make)

    def _at(self, served: Served) -> OpenAIInferencer:
        endpoint = Endpoint(self.name, served.base_url, lambda: served.key, patience=self._patience)
        return OpenAIInferencer(endpoint, self._client)
