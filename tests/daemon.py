"""A whole daemon inside the test's process: real sockets, a configuration directory, a runtime directory of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from anyio.from_thread import start_blocking_portal

from woollama.app import Core
from woollama.config import load
from woollama.daemon import Daemon
from woollama.observe import Scrubber
from woollama.server import InProcess, ServeOptions, options_of, serve_in_process
from woollama.toolservers import fleet

fleet.READY_WITHIN_S = 60.0  # on a busy machine a tool server takes longer to start than a person would wait for it


@asynccontextmanager
async def daemon(
    config_dir: Path,
    environ: Mapping[str, str],
    options: ServeOptions | None = None,
    scrubber: Scrubber | None = None,
    *,
    problems_expected: bool = False,
) -> AsyncIterator[InProcess]:
    with TemporaryDirectory(prefix="woollama-state-") as state_dir:
        environ = {"WOOLLAMA_STATE_DIR": state_dir, **environ}
        async with _daemon(config_dir, environ, options, scrubber, problems_expected) as running:
            yield running


@asynccontextmanager
async def _daemon(
    config_dir: Path,
    environ: Mapping[str, str],
    options: ServeOptions | None,
    scrubber: Scrubber | None,
    problems_expected: bool,
) -> AsyncIterator[InProcess]:
    loaded = load(config_dir, environ)
    assert problems_expected or not loaded.errors, loaded.errors
    options = options or replace(options_of(loaded.config, environ), shutdown_timeout_s=1.0)
    scrubber = scrubber or Scrubber()
    served = Daemon(
        Core(loaded.config, environ, scrubber),
        scrubber=scrubber,
        loaded=loaded,
        load=lambda: load(config_dir, environ),
    )
    async with serve_in_process(served, options, render_error=served.render_error) as running:
        renewed = running.serving.renew
        served.on_reconfigured(lambda config: renewed(replace(options_of(config, environ), shutdown_timeout_s=1.0)))
        yield running


@contextmanager
def daemon_in_thread(
    config_dir: Path, environ: Mapping[str, str], options: ServeOptions | None = None
) -> Iterator[InProcess]:
    """The same for tests that are not asynchronous themselves."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(daemon(config_dir, environ, options)) as running,
    ):
        yield running
