"""What is run for an embedded model: `local_model.py`, which loads weights and serves them behind a key of ours."""

from __future__ import annotations

import json
import logging
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from woollama.domain.errors import NotSetUp, RouterError, UpstreamUnreachable
from woollama.domain.ports import Child, Spawner
from woollama.inferencers.managed.model_process import Ended, Served

log = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("local_model.py")
_ERROR_MARK = " E "
"""How llama.cpp marks an error in its log: `0.00.004.445 E where: what`."""


class EmbeddedModel:
    """Implements `Program`. `target` is `inferencer/model`; `environ` is all of the process's environment."""

    def __init__(
        self, target: str, path: Path, spawner: Spawner, *, environ: Mapping[str, str], context_tokens: int
    ) -> None:
        self._target = target
        self._path = path
        self._spawner = spawner
        self._environ = environ
        self._context_tokens = context_tokens

    def __repr__(self) -> str:
        return f"<EmbeddedModel {self._path}>"

    async def launch(self, log_line: Callable[[str], None]) -> tuple[Child, Callable[[], Awaitable[Served]]]:
        log.info("%s: loading %s (%d MB)", self._target, self._path, self._path.stat().st_size // 1_000_000)
        errors: list[str] = []

        def heard(line: str) -> None:
            log_line(line)
            if not errors and _ERROR_MARK in line:
                errors.append(line.partition(_ERROR_MARK)[2].strip())

        # -P: the directory of this file must not come before the standard library.
        argv = [sys.executable, "-P", str(PROGRAM)]
        try:
            child = await self._spawner.spawn(
                argv, env=self._environ, pipes=True, log_line=heard, name=self._target, kind="model", grace_s=1.0
            )
        except OSError as error:
            raise UpstreamUnreachable(f"{self._target} cannot be started: {error}") from error
        return child, lambda: self._loaded(child, errors)

    async def _loaded(self, child: Child, errors: list[str]) -> Served:
        assert child.reader is not None
        assert child.writer is not None
        key = secrets.token_urlsafe(32)
        alias = self._target.partition("/")[2]
        wanted = {"path": str(self._path), "alias": alias, "key": key, "context_tokens": self._context_tokens}
        try:
            child.writer.write(json.dumps(wanted).encode() + b"\n")
            await child.writer.drain()
            line = await child.reader.readline()
        except ConnectionError:
            line = b""
        if not line:
            await child.closed.wait()
            raise Ended
        answer: Mapping[str, Any] = json.loads(line)
        if "url" in answer:
            return Served(f"{answer['url']}/v1", key)
        if not answer["installed"]:
            raise NotSetUp(
                f"{self._target} needs llama.cpp ({answer['failed']}): pip install 'woollama[local]'",
                code="not_installed",
            )
        why = errors[0] if errors else answer["failed"]
        raise RouterError(f"{self._target} cannot be loaded from {self._path}: {why}", code="not_loaded")
