"""How far an address may lead that a request has brought along: not into this machine or the network around it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from woollama.domain.errors import UpstreamUnreachable

_NAT64 = IPv6Network("64:ff9b::/96")


def require_public(host: str, addresses: Sequence[str]) -> None:
    """Raises `UpstreamUnreachable` unless every one of the addresses that a name was found to have is public."""
    if not all(is_public(ip_address(address.partition("%")[0])) for address in addresses):
        raise UpstreamUnreachable(
            f"{host} leads into this machine or its network; only a host that is named in"
            " allow_remote_servers ([mcp] in woollama.toml) may"
        )


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Also of an address that carries one of version 4 inside."""
    if isinstance(address, IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inside = IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(inside)
    return address.is_global and not address.is_multicast
