"""respx for httpx2: it patches httpcore by default, and httpx2 stands on httpcore2.

`httpx2.alias_httpx()` would do so too, for the whole process: then the SDKs that bring httpx itself, whose clients
other tests are, would no longer be what their users have.
"""

from __future__ import annotations

from typing import Any, ClassVar

import httpcore2
import httpx
from respx.mocks import HTTPCoreMocker


class HTTPCore2Mocker(HTTPCoreMocker):
    name: ClassVar[str] = "httpcore2"
    targets: ClassVar[list[str]] = ["httpcore2._async.connection_pool.AsyncConnectionPool"]

    @classmethod
    async def from_async_httpx_response(cls, httpx_response: httpx.Response, target: Any, **kwargs: Any) -> Any:
        return httpcore2.Response(
            status=httpx_response.status_code, headers=httpx_response.headers.raw, content=httpx_response.stream
        )
