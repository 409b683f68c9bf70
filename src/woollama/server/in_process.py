"""A server inside the running process, for tests and for programs that embed one."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from woollama.gate import RenderError, openai_error
from woollama.platform import private_dir, tcp_owners
from woollama.server.listening import Listening, parse_address
from woollama.server.options import JustApp, Served, ServeOptions
from woollama.server.serving import Serving

if TYPE_CHECKING:
    from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class InProcess:
    """A server inside this process, for tests: `url` ends without a slash."""

    url: str
    unix_path: Path
    listening: Listening
    serving: Serving


@asynccontextmanager
async def serve_in_process(
    served: Served | ASGIApp,
    options: ServeOptions | None = None,
    *,
    render_error: RenderError = openai_error,
) -> AsyncIterator[InProcess]:
    """Serve on real sockets inside the running loop: a free port, a runtime directory of its own, no signals.

    Started and warm when the block begins, ended as the daemon ends when it is left.
    """
    options = options or ServeOptions(shutdown_timeout_s=1.0)
    options = replace(options, address=options.address or "127.0.0.1:0")
    async with AsyncExitStack() as stack:
        directory = options.runtime_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="woollama-")))
        listening = stack.enter_context(Listening(private_dir(directory)))
        listening.open(parse_address(options.address or ""), allow_remote=any(options.tokens()))
        whole: Any = served if hasattr(served, "drain") else JustApp(served)
        serving = Serving(whole, listening, options, owner_of=tcp_owners(), render_error=render_error)
        stack.push_async_callback(serving.end, options.shutdown_timeout_s)
        await (await serving.begin())
        yield InProcess(listening.url, listening.unix_path, listening, serving)
