"""Models that run on this machine inside woollama's own processes: `api = "local"`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from woollama.domain.events import Event
from woollama.domain.ports import Spawner
from woollama.domain.turns import Call, Target
from woollama.inferencers.http.request import Patience
from woollama.inferencers.http.transport import HttpClient
from woollama.inferencers.local.model_process import ModelProcess
from woollama.inferencers.local.weights import find, names_in

DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_START_TIMEOUT_S = 120.0
DEFAULT_IDLE_S = 600.0

_KEPT = frozenset({"HOME", "PATH", "TMPDIR", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"})
_KEPT_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_", "VK_", "OMP_", "GGML_", "LLAMA_")


class LocalInferencer:
    """Implements `domain.ports.Inferencer`: each model, when it is asked, by a `ModelProcess` of its own.

    `directory` holds the pulled models; `environ` is ours, of which a process gets what it needs and no key.
    """

    def __init__(
        self,
        name: str,
        spawner: Spawner,
        client: HttpClient,
        directory: Path,
        *,
        environ: Mapping[str, str],
        context_tokens: int = 0,
        patience: Patience | None = None,
        start_timeout_s: float = DEFAULT_START_TIMEOUT_S,
        idle_s: float = DEFAULT_IDLE_S,
    ) -> None:
        self.name = name
        self._spawner = spawner
        self._client = client
        self._directory = directory
        self._environ = {key: value for key, value in environ.items() if _is_kept(key)}
        self._context_tokens = context_tokens or DEFAULT_CONTEXT_TOKENS
        self._patience = patience or Patience(first_byte_s=600.0)
        self._start_timeout_s = start_timeout_s
        self._idle_s = idle_s
        self._processes: dict[Path, ModelProcess] = {}

    def __repr__(self) -> str:
        return f"<LocalInferencer {self.name!r} {list(self._processes.values())}>"

    @property
    def processes(self) -> Sequence[ModelProcess]:
        """Of every model that has been asked, running or not."""
        return tuple(self._processes.values())

    async def list_models(self) -> Sequence[str]:
        return names_in(self._directory)

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        async with self.process_of(call.target).in_use() as inferencer, inferencer.answer(call) as events:
            yield events

    async def close(self) -> None:
        for process in self._processes.values():
            await process.close()

    def process_of(self, target: Target) -> ModelProcess:
        """The process for one of our models, running or not. Raises `UnknownModel`."""
        path = find(target.model, self._directory)
        if path not in self._processes:
            self._processes[path] = ModelProcess(
                str(target),
                path,
                self._spawner,
                self._client,
                environ=self._environ,
                context_tokens=self._context_tokens,
                patience=self._patience,
                start_timeout_s=self._start_timeout_s,
                idle_s=self._idle_s,
            )
        return self._processes[path]


def _is_kept(name: str) -> bool:
    return name in _KEPT or name.startswith(_KEPT_PREFIXES)
