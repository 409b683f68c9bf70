"""The daemon's process: listening first and warming afterwards, signals, exit codes.

A second signal ends at once, and a watchdog thread ends a daemon whose event loop hangs: in both cases the files are
removed first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from woollama.gate import RenderError, openai_error
from woollama.platform import Unsafe, has_terminal, passed_sockets, private_dir, runtime_dir, tcp_owners
from woollama.server.listening import AddressUnusable, AlreadyRunning, Listening, parse_address
from woollama.server.options import Served, ServeOptions, options_of
from woollama.server.serving import CANCEL_S, END_S, Serving

EXIT_PROBLEM, EXIT_USAGE, EXIT_RUNNING, EXIT_UNSAFE = 1, 2, 3, 4

_SLACK_S = 5.0
_log = logging.getLogger("woollama.server")


def run(
    options: ServeOptions,
    build: Callable[[], Served],
    *,
    render_error: RenderError = openai_error,
    announce: Callable[[Listening], None] | None = None,
    environ: MutableMapping[str, str] = os.environ,
) -> int:
    """Serve until a signal; returns the exit code, having said on standard error what was wrong.

    0 after a signal, 1 when serving failed, 2 for an address that is none, 3 when another instance runs, 4 when it
    would not be safe. `build` is called once the sockets are ours; `announce` once they are accepted from.
    """
    try:
        wanted = parse_address(options.address) if options.address else None
    except AddressUnusable as error:
        return _say(error, EXIT_USAGE)
    try:
        directory = private_dir(options.runtime_dir or runtime_dir(environ))
        listening = Listening(directory)
        with _Signals(listening, options.shutdown_timeout_s).handled() as signals, listening:
            listening.open(wanted, passed=passed_sockets(environ), allow_remote=any(options.tokens()))
            serve = _serve(build(), listening, options, signals, render_error, announce, environ)
            with _known_as_asyncio(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
                code = runner.run(serve)
                if runner.run(_stubborn_tasks()):
                    signals.leave(code)  # the runner would wait for them for ever
                return code
    except AlreadyRunning as error:
        return _say(error, EXIT_RUNNING)
    except Unsafe as error:
        return _say(error, EXIT_UNSAFE)
    except AddressUnusable as error:
        return _say(error, EXIT_PROBLEM)


async def _serve(
    served: Served,
    listening: Listening,
    options: ServeOptions,
    signals: _Signals,
    render_error: RenderError,
    announce: Callable[[Listening], None] | None,
    environ: Mapping[str, str],
) -> int:
    owner_of = tcp_owners()
    if owner_of is None and not options.any_local_user:
        _log.warning("this platform cannot tell whose a TCP connection is: every user of this machine can connect")
    serving = Serving(served, listening, options, owner_of=owner_of, render_error=render_error)
    stopping = signals.stopping()
    served.on_reconfigured(lambda config: serving.renew(options_of(config, environ)))
    reloads = asyncio.create_task(_reload_whenever(signals.hung_up(), served), name="reloading")
    try:
        warming = await serving.begin()
        _log.info("listening at %s and %s", listening.url, listening.unix_path)
        if announce is not None:
            announce(listening)
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({stopped, warming}, return_when=asyncio.FIRST_COMPLETED)
        if warming.done() and (error := warming.exception()) is not None:
            _log.critical("woollama could not start", exc_info=error)
            return EXIT_PROBLEM
        await stopped
        if serving.requests:
            _log.info("ending after %d requests, within %g s", serving.requests, options.shutdown_timeout_s)
        return 0
    finally:
        reloads.cancel()
        await serving.end(serving.options.shutdown_timeout_s)


async def _reload_whenever(asked: asyncio.Event, served: Served) -> None:
    while True:
        await asked.wait()
        asked.clear()
        try:
            await served.reload()
        except Exception:
            _log.exception("a defect while the configuration was reloaded")


async def _stubborn_tasks() -> list[str]:
    """Cancel what nobody has ended; the names of those that go on all the same."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    late = (await asyncio.wait(tasks, timeout=CANCEL_S))[1] if tasks else ()
    names = [task.get_name() for task in late]
    if names:
        _log.error("these tasks ignore that they were cancelled, and are left behind: %s", ", ".join(names))
    return names


class _Signals:
    """The first signal asks for an end, the second one makes it. Both work before there is a loop, or when it hangs.

    SIGHUP asks for a reload, but for one that tells that our terminal was closed: that is an end, too.
    """

    def __init__(self, listening: Listening, shutdown_timeout_s: float) -> None:
        self._listening = listening
        self._patience_s = shutdown_timeout_s + END_S + _SLACK_S
        self._asked = False
        self._wake: Callable[[], object] | None = None
        self._watchdog: threading.Timer | None = None
        outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # set by nohup
        self._of_terminal = has_terminal() and not outlives_terminal
        self._reload_asked = False
        self._wake_for_reload: Callable[[], object] | None = None

    @contextmanager
    def handled(self) -> Iterator[_Signals]:
        before = {number: signal.signal(number, self._received) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._received_hup)
        try:
            yield self
        finally:
            if self._watchdog is not None:
                self._watchdog.cancel()
            for number, handler in before.items():
                signal.signal(number, handler)

    def stopping(self) -> asyncio.Event:
        """The event of the running loop that is set when an end is asked for, or was before there was a loop."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.is_closed() or loop.call_soon_threadsafe(event.set)
        if self._asked:
            event.set()
        return event

    def hung_up(self) -> asyncio.Event:
        """The event of the running loop that is set when a reload is asked for, or was before there was a loop."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        self._wake_for_reload = lambda: loop.is_closed() or loop.call_soon_threadsafe(event.set)
        if self._reload_asked:
            event.set()
        return event

    def _received_hup(self, number: int, frame: FrameType | None) -> None:
        if self._of_terminal and not has_terminal():
            self._received(number, frame)
        elif self._wake_for_reload is not None:
            self._wake_for_reload()
        else:
            self._reload_asked = True

    def _received(self, number: int, _: FrameType | None) -> None:
        if self._asked:
            self.leave(128 + number)
        self._asked = True
        self._watchdog = threading.Timer(self._patience_s, self.leave, (EXIT_PROBLEM,))
        self._watchdog.daemon = True
        self._watchdog.start()
        if self._wake is not None:
            self._wake()

    def leave(self, code: int) -> NoReturn:
        """End the process without waiting for anything in it."""
        self._listening.remove_files()
        os._exit(code)


@contextmanager
def _known_as_asyncio() -> Iterator[None]:
    """Libraries that can do with other loops ask at each of their waits, and would look for a task to find out."""
    try:
        from sniffio import thread_local
    except ImportError:
        yield
        return
    before, thread_local.name = thread_local.name, "asyncio"
    try:
        yield
    finally:
        thread_local.name = before


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _say(error: Exception, code: int) -> int:
    sys.stderr.write(f"woollama: {error}\n")
    return code
