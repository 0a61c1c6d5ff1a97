"""Who sends: the client's address as the nearest proxy that we trust saw it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Network = IPv4Network | IPv6Network

# A site's IPv6 addresses share this many bits; whoever has one of them has them all.
_SITE_BITS = 64
# Addresses remembered: gateways send from a few dozen.
_REMEMBERED = 4096


class Client(NamedTuple):
    """One client: its address for the audit, and what it is counted under."""

    address: str
    site: str


class Clients:
    """Tells clients apart; X-Forwarded-For is believed only as far as trusted proxies wrote it."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        # The same few senders come thousands of times a second.
        self.of = lru_cache(maxsize=_REMEMBERED)(self._of)

    def _of(self, peer: str, forwarded: str) -> Client:
        address = _address(peer)
        if address is None:
            return Client(peer, peer)
        # Each proxy appends whom it heard: from the right, up to the first that is none of ours.
        for said in reversed(forwarded.split(",")):
            if not any(address in network for network in self._trusted):
                break
            before = _address(said)
            if before is None:
                break
            address = before
        return Client(str(address), _site(address))


def networks(text: str) -> tuple[Network, ...]:
    """Networks and addresses with commas between them; raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, also with a port behind it as some balancers write it."""
    said = text.strip()
    if said.startswith("["):
        said = said[1:].partition("]")[0]
    elif said.count(":") == 1:
        said = said.partition(":")[0]
    try:
        found = ip_address(said)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _site(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _SITE_BITS), strict=False))
