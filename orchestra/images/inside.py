"""Which hosts a photo may be fetched from: those of the public internet, and of one's own network
where that is allowed. It opens no connection."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from orchestra.core.errors import ImageForbidden, ImageNotFound, ImageUnavailable
from orchestra.images.limits import ImageLimits
from orchestra.images.naming import shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Where clouds tell a machine its own secrets; nobody keeps photos there.
METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))


@dataclass(frozen=True, slots=True)
class Target:
    """The IP address to connect to, and whether it is one of a private network."""

    address: str
    is_private: bool


def place_of(
    address: str, host: str, port: int, limits: ImageLimits, *, before: Target | None
) -> Target:
    """Where `host` is; `before` is the place that redirected there.

    Raises `ImageForbidden` where any of its addresses is not public, unless private networks are
    allowed; a public server may not lead into one even then, and nobody to a link-local address.
    """
    found = _looked_up(address, host, port)
    for place in found:
        own = _unwrapped(place)
        if _is_public(own):
            continue
        if _is_never(own):
            raise _forbidden(address, place, "Give the photo itself, by its path.")
        if not limits.allow_private:
            raise _forbidden(
                address,
                place,
                "Give the photo itself (its path; over HTTP a data URI), or set allow_private "
                "(--allow-private) for photos of your own network.",
            )
        if before is not None and not before.is_private:
            raise _forbidden(
                address, place, "A public server redirects into a private network. Use the address."
            )
    return Target(found[0], not _is_public(_unwrapped(found[0])))


def _looked_up(address: str, host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            raise ImageUnavailable(
                f"Image {shown(address)}: the host {host!r} cannot be looked up now ({error}). "
                "Check the network, and run again later."
            ) from error
        raise ImageNotFound(
            f"Image {shown(address)}: no such host {host!r} ({error}). Check the address."
        ) from error
    return [str(entry[4][0]) for entry in found]


def _forbidden(address: str, place: str, cure: str) -> ImageForbidden:
    return ImageForbidden(
        f"Image {shown(address)} leads to {place}, which is not a public address. {cure}"
    )


def _unwrapped(place: str) -> Address:
    """An address, and of one that wraps another in IPv6 that one."""
    address = ipaddress.ip_address(place.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return inner
    return address


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and address not in METADATA


def _is_never(address: Address) -> bool:
    """Whether an address is no photo server's, in whatever network."""
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in METADATA
    )
