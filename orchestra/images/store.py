"""Keeps photos under the hash of their decoded pixels; it knows neither sources nor jobs.

Two files whose decoded pixels are the same are one photo. With a folder each photo is a file,
its own where that holds just the pixels, else lossless WebP; it is written beside its place and
renamed into it, so that several processes may share the folder. Without one the photos live in
memory, and the least recently used go first, except those that somebody still holds (`keep`).
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections import OrderedDict
from pathlib import Path
from weakref import WeakValueDictionary

from PIL import Image

from orchestra.core.errors import ImageNotFound, ImageTooLarge, ImageTruncated
from orchestra.core.files.atomic import atomic_file
from orchestra.images.files import SUFFIXES, PhotoFile
from orchestra.images.intake import MOST_SIDE_PX, normalise

KEY = re.compile(r"[0-9a-f]{64}")


def pixel_hash(image: Image.Image) -> str:
    """sha256 hex over an RGB image's size and pixels."""
    digest = hashlib.sha256(f"RGB {image.width}x{image.height}\n".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


class ImageStore:
    """Photos by content. Thread-safe; what `get` returns is the caller's own copy.

    `memory_bytes` bounds the decoded pixels that are kept in memory beyond what callers hold:
    everything there is without a `folder`, a cache with one.
    """

    def __init__(self, folder: Path | str | None = None, *, memory_bytes: int = 256 << 20) -> None:
        self.folder = None if folder is None else Path(folder)
        self._memory_bytes = memory_bytes
        self._held_bytes = 0
        self._held: OrderedDict[str, Image.Image] = OrderedDict()
        self._in_use: WeakValueDictionary[str, Image.Image] = WeakValueDictionary()
        self._lock = threading.Lock()

    def put(self, image: Image.Image) -> str:
        """Keep a photo and return its key; see `keep`."""
        return self.keep(image)[0]

    def keep(self, image: Image.Image, file: PhotoFile | None = None) -> tuple[str, Image.Image]:
        """Keep a photo; its key, and the photo, which is there for as long as one holds it.

        It is the store's own, not to be changed. An image that is not RGB is normalised first.
        `file` holds just these pixels, as `read_photo` gives it, which saves writing another.
        Raises DiskFull, and ImageTooLarge above 16,383 pixels a side.
        """
        photo = image.copy() if image.mode == "RGB" else normalise(image)
        if max(photo.size) > MOST_SIDE_PX:
            raise ImageTooLarge(
                f"Image of {photo.width}x{photo.height} pixels cannot be kept; the limit is "
                f"{MOST_SIDE_PX} a side. Pass it through normalise() first."
            )
        key = pixel_hash(photo)
        path = self.path(key)
        if path is not None and not path.exists():
            self._write(path, photo, file)
        return key, self._hold(key, photo)

    def get(self, key: str) -> Image.Image:
        """The photo as RGB. Raises ImageNotFound, or ImageTruncated for a damaged file."""
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
            else:
                held = self._in_use.get(key)
        if held is not None:
            return held.copy()
        photo = self._read(key)
        self._hold(key, photo)
        return photo.copy()

    def path(self, key: str) -> Path | None:
        """Where the photo's file is or would be; None for a store in memory."""
        if self.folder is None:
            return None
        if not KEY.fullmatch(key):
            raise ImageNotFound(f"{key!r} is not a photo's key: a key is 64 hexadecimal digits.")
        place = self.folder / key[:2]
        paths = [place / f"{key}{suffix}" for suffix in SUFFIXES.values()]
        return next((path for path in paths if path.exists()), paths[0])

    def thumbnail(self, key: str, side_px: int) -> bytes:
        """The photo as JPEG bytes, its longest side at most `side_px`."""
        photo = self.get(key)
        photo.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=82, optimize=True)
        return buffer.getvalue()

    def __contains__(self, key: str) -> bool:
        with self._lock:
            if key in self._held:
                return True
        return self.folder is not None and bool(KEY.fullmatch(key)) and self._exists(key)

    def _exists(self, key: str) -> bool:
        path = self.path(key)
        return path is not None and path.exists()

    def _hold(self, key: str, photo: Image.Image) -> Image.Image:
        """The one photo in memory of that key: another's that is in use, or this one."""
        with self._lock:
            photo = self._in_use.setdefault(key, photo)
            if key in self._held:
                self._held.move_to_end(key)
                return photo
            self._held[key] = photo
            self._held_bytes += _bytes(photo)
            while self._held_bytes > self._memory_bytes and len(self._held) > 1:
                self._held_bytes -= _bytes(self._held.popitem(last=False)[1])
            return photo

    def _read(self, key: str) -> Image.Image:
        path = self.path(key)
        if path is None:
            raise ImageNotFound(
                f"Photo {key[:12]!r} is not in the store: it was never put, or others took its "
                f"place ({self._memory_bytes >> 20} MiB are kept). Open the store with a folder."
            )
        try:
            with Image.open(path, formats=tuple(SUFFIXES)) as image:
                photo = image.convert("RGB")
        except FileNotFoundError as error:
            raise ImageNotFound(
                f"Photo {key[:12]!r} is not in {str(self.folder)!r}. Read its source again."
            ) from error
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        if pixel_hash(photo) != key:
            raise _damaged(path, "it holds other pixels")
        return photo

    def _write(self, path: Path, photo: Image.Image, file: PhotoFile | None) -> None:
        """Write beside `path` and rename: a reader never sees half a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path if file is None else path.with_suffix(file.suffix)
        with atomic_file(target, durable=False) as opened:
            if file is not None:
                opened.write(file.content)
            else:  # Effort 0: 75 ms for 1024x1024 against 133 ms of PNG, and smaller.
                photo.save(opened, "WEBP", lossless=True, quality=0, method=0)


def _damaged(path: Path, why: str) -> ImageTruncated:
    return ImageTruncated(f"Photo file {str(path)!r} is damaged ({why}). Delete it and run again.")


def _bytes(photo: Image.Image) -> int:
    return photo.width * photo.height * 4  # Pillow keeps RGB in four bytes a pixel
