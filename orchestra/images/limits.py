"""Bounds of one photo and of a job's photos."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What one photo may take, where it may come from, and how many a job may have.

    `max_pixels` is checked on the header, before decoding; `side_px` is the longest side of
    what comes out, and of a photo whose print is read (`normalise(fine=True)`) `fine_pixels` are
    the most that it has. `allow_private` lets addresses of private networks be fetched;
    `allow_files` = False refuses paths, for a server that takes photos from strangers, and
    `is_discreet` tells them no more of an address than that it gave no photo. A photo that
    its server cannot give now is asked for `attempts` times, with at most `patience_s` of waits. Of
    one server at most `per_host` photos are fetched at once, and no two within `host_gap_s`.
    """

    max_bytes: int = 32 * 2**20
    max_pixels: int = 64_000_000
    side_px: int = 1024
    fine_pixels: int = 8_000_000
    max_photos: int = 64
    timeout_s: float = 10.0
    max_redirects: int = 5
    attempts: int = 4
    patience_s: float = 60.0
    per_host: int = 4
    host_gap_s: float = 0.02
    allow_private: bool = False
    allow_files: bool = True
    is_discreet: bool = False
