"""Which hosts a photo may be fetched from: those of the public internet, and of one's own network
where that is allowed. It opens no connection."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from orchestra.core.errors import ImageForbidden, ImageNotFound, ImageUnavailable
from orchestra.core.networks import reach_of
from orchestra.images.limits import ImageLimits
from orchestra.images.naming import shown


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
        reach = reach_of(place)
        if reach == "public":
            continue
        if reach == "never":
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
    return Target(found[0], reach_of(found[0]) != "public")


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
