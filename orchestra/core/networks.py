"""Which IP addresses lie on the public internet: the one list of special ranges that fetches ask.

It begins with the IANA registries of special addresses as `ipaddress` has them, and adds what
Python 3.11 does not know, what clouds tell a machine its own secrets at, and the IPv4 addresses
that IPv6 ones carry inside.

Sources: IANA's IPv4 and IPv6 Special-Purpose Address Registries (2025-10), RFC 6890, 4291, 6052,
8215, 3879, 3056, 4380, 5214, 9602, 9637; the clouds' pages on instance metadata.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Literal

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Reach = Literal["public", "private", "never"]

METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",  # AWS, Azure, Google, OpenStack, Oracle, DigitalOcean
            "169.254.170.2",  # AWS: credentials of a container
            "169.254.0.23",  # Tencent
            "168.63.129.16",  # Azure: the platform's own channel
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle, as it was
            "fd00:ec2::254",  # AWS over IPv6
            "fd00:ec2::23",  # AWS: credentials of a pod
            "fd20:ce::254",  # Google over IPv6
        ),
    )
)
# What `ipaddress` of Python 3.11 takes for global, or takes for it in part.
SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # IETF protocol assignments
            "192.88.99.0/24",  # relays of 6to4, given up
            "::/96",  # an IPv4 address inside, given up: ::127.0.0.1
            "64:ff9b:1::/48",  # translation within one's own network
            "100:0:0:1::/64",  # dummy prefix
            "2001::/23",  # IETF protocol assignments, Teredo among them
            "3fff::/20",  # documentation
            "5f00::/16",  # segment routing
            "fec0::/10",  # site-local, given up
        ),
    )
)
# Prefixes behind which the last four bytes are an IPv4 address.
CARRIERS = tuple(
    map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
)
ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # the middle of an interface that carries one
LAST_32 = 0xFFFF_FFFF


def reach_of(place: str) -> Reach:
    """Where an IP address leads: to the public internet, into a private network, or nowhere that
    keeps photos, whatever network that is. Raises `ValueError` for what is no address.

    An address that carries another is only as public as that one.
    """
    address = ipaddress.ip_address(place.partition("%")[0])
    all_of_it = (address, *_carried(address))
    if any(_is_never(one) for one in all_of_it):
        return "never"
    return "public" if all(_is_public(one) for one in all_of_it) else "private"


def _carried(address: Address) -> Iterator[Address]:
    """The IPv4 addresses inside an IPv6 one."""
    if not isinstance(address, ipaddress.IPv6Address) or int(address) <= 1:  # :: and ::1
        return
    low = int(address) & LAST_32
    if any(address in network for network in CARRIERS):
        yield ipaddress.IPv4Address(low)
    if (int(address) >> 32) & LAST_32 in ISATAP:
        yield ipaddress.IPv4Address(low)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in ipaddress.IPv6Network("64:ff9b:1::/48"):
        yield ipaddress.IPv4Address(low)


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return True  # as public as what it carries
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in SPECIAL)
    )


def _is_never(address: Address) -> bool:
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in METADATA
    )
