"""The relay's way out to models whose processes are ours; to all others it is the plain one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from woollama.domain.errors import UpstreamUnreachable
from woollama.domain.ports import Forwarded, ReplayableBody, RequestHead
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.forwarder import UpstreamForwarder
from woollama.inferencers.managed.model_process import ModelProcess, Served


class ManagedForwarder:
    """Implements `domain.ports.Forwarder`. `processes` are by inferencer, with what makes the endpoint of each.

    A `GET` asks what there is: it goes to a process that runs and starts none.
    """

    def __init__(
        self, plain: UpstreamForwarder, processes: Mapping[str, tuple[ModelProcess, Callable[[Served], Endpoint]]]
    ) -> None:
        self._plain = plain
        self._processes = processes

    def __repr__(self) -> str:
        return f"<ManagedForwarder to {', '.join(self._processes)}, {self._plain!r}>"

    def forward(self, head: RequestHead, body: bytes | ReplayableBody) -> AbstractAsyncContextManager[Forwarded]:
        if head.target.inferencer in self._processes:
            return self._forward(head, body)
        return self._plain.forward(head, body)

    @asynccontextmanager
    async def _forward(self, head: RequestHead, body: bytes | ReplayableBody) -> AsyncIterator[Forwarded]:
        process, at = self._processes[head.target.inferencer]
        if head.method == "GET" and process.served is None:
            raise UpstreamUnreachable(f"{process.name} does not run now, and is not started for a look at it")
        async with process.in_use() as served, self._plain.forward_to(at(served), head, body) as answer:
            yield answer
