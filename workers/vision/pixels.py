"""Photos as the pixels that a square tower takes, by numpy and Pillow; knows no weights.

It does what DeepSeek-VL's own processor does: the longer side is scaled to the tower's, the rest
is padded with one colour, and each channel is centred and scaled.

Shapes: 3 channels, H = W pixels of the tower's side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import RESTORE

FILE = "preprocessor_config.json"
# Steps that a checkpoint may switch off, and a photo would need other code then.
STEPS = ("do_resize", "do_pad", "do_rescale", "do_normalize")


@dataclass(frozen=True, slots=True)
class SquarePixels:
    """How photos become pixels for one checkpoint; `side` and `least` are lengths in pixels."""

    side: int
    least: int
    background: tuple[int, int, int]
    resample: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1 / 255
    _level: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        """Work out what each of the 256 values of a channel becomes, (256, 3)."""
        shade = (np.arange(256, dtype=np.float64) * self.scale).astype(np.float32)
        mean, std = (np.array(part, np.float32) for part in (self.mean, self.std))
        object.__setattr__(self, "_level", (shade[:, None] - mean) / std)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the processor's settings of a checkpoint. Raises CheckpointInvalid."""
        path = folder / FILE
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            return cls.read(settings)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointInvalid(
                f"The image processor in {str(path)!r} cannot be read: {error!r}. {RESTORE}"
            ) from error

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Self:
        """The settings as the processor writes them. Raises KeyError, TypeError, ValueError."""
        off = [name for name in STEPS if not settings.get(name, True)]
        high, wide = settings["size"]["height"], settings["size"]["width"]
        if off or high != wide:
            raise ValueError(f"{off!r} are off, and the size is {high!r} x {wide!r}")
        mean = settings["image_mean"]
        usual = [int(part * 255) for part in mean]
        red, green, blue = settings.get("background_color") or usual
        return cls(
            side=int(high),
            least=int(settings["min_size"]),
            background=(red, green, blue),
            resample=int(settings["resample"]),
            mean=tuple(mean),
            std=tuple(settings["image_std"]),
            scale=float(settings["rescale_factor"]),
        )

    def of(self, photo: Image.Image) -> NDArray[np.float32]:
        """An upright RGB photo as normalised pixels, (3, H, W)."""
        wide, high = (max(round(n * self.side / max(photo.size)), self.least) for n in photo.size)
        shown = photo.resize((wide, high), Image.Resampling(self.resample))
        if wide != high:
            longest = max(wide, high)
            canvas = Image.new("RGB", (longest, longest), self.background)
            canvas.paste(shown, ((longest - wide) // 2, (longest - high) // 2))
            shown = canvas
        bytes_HW3 = np.asarray(shown)
        return np.stack([self._level[bytes_HW3[..., at], at] for at in range(3)])

    def covers(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The square that the tower sees of a photo of `size`, as fractions of the photo.

        (left, top, right, bottom); beyond 0 and 1 where the photo is padded, as it is centred.
        """
        edges = []
        for length in size:
            shown = max(round(length * self.side / max(size)), self.least)
            before = (self.side - shown) // 2
            edges.append((-before / shown, (self.side - before) / shown))
        (left, right), (top, bottom) = edges
        return left, top, right, bottom
