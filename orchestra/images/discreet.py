"""What a stranger is told of an address that gave no photo: the same, whatever it leads to.

A server that fetches for others sees more of its network than they do. That a name is known there,
that a port is closed or that something answers which is no photo would each tell of it. Only the
operator's log says which of these it was.
"""

from __future__ import annotations

import logging

from orchestra.core.errors import ImageError, ImageNotFound
from orchestra.images.fetch import is_fetched
from orchestra.images.limits import ImageLimits
from orchestra.images.naming import shown

LOG = logging.getLogger("orchestra.images")


def told_of(error: ImageError, source: str, limits: ImageLimits) -> ImageError:
    """`error` as who sent `source` may know it; what is kept back is logged."""
    if not limits.is_discreet or error.is_open or not is_fetched(source):
        return error
    LOG.warning(
        "photo not fetched", extra={"orchestra_type": error.kind, "orchestra_said": str(error)}
    )
    return ImageNotFound(
        f"Image {shown(source)} could not be fetched from a public address as a photo. Check that "
        "it opens in a browser anywhere, or send the photo itself as a data URI."
    )
