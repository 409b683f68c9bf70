"""How far an address may lead that a request has brought along: not into this machine or the network around it."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx2

_NAT64 = IPv6Network("64:ff9b::/96")


class PublicOnly(httpx2.AsyncBaseTransport):
    """Connects to public addresses alone. A name is looked up once, and what was found and looked at is called: the
    answer to a second question could be another one."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        found = await _addresses(url.host, url.port or (443 if url.scheme == "https" else 80))
        if not found or not all(map(is_public, found)):
            raise httpx2.ConnectError(
                f"{url.host} leads into this machine or its network; only a host that is named in"
                " allow_remote_servers ([mcp] in woollama.toml) may",
                request=request,
            )
        return await self._inner.handle_async_request(
            httpx2.Request(
                request.method,
                url.copy_with(host=str(found[0])),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Also of an address that carries one of version 4 inside."""
    if isinstance(address, IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inside = IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(inside)
    return address.is_global and not address.is_multicast


async def _addresses(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx2.ConnectError(f"{host} cannot be looked up: {error.strerror or error}") from error
    return [ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
