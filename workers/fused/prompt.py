"""What a fused model's prompt is, and whether its photo decides; without torch, for every engine.

A photo outside the checkpoint's domain decides nothing where a text stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from orchestra.core.call import Call
from orchestra.core.errors import UsageError
from workers.decoding.model import Prompt
from workers.decoding.prompt import PromptWriter
from workers.decoding.standing import Standing

GREY = (127, 127, 127)  # the padding around a photo that is not square
NEEDED = 0.5  # the probability from which on the image is looked at
PIXELS = "pixel_values"


@dataclass(frozen=True, slots=True)
class FusedPrompt(Prompt):
    """A prompt that also says whether there is a text that could do without the image."""

    has_text: bool = False


def prepared(call: Call, writer: PromptWriter, pixels_of: Callable[[Image.Image], Any]) -> Prompt:
    """Render and encode one call, and its image as pixels. Raises UsageError for more of them."""
    if len(call.images) > 1:
        raise UsageError(
            f"This model looks at one image a call, but the call has {len(call.images)}. "
            "Send one call for each image."
        )
    pixels = {PIXELS: pixels_of(call.images[0])[None]} if call.images else None
    return FusedPrompt(writer.encode(call), pixels, has_text=bool((call.text or "").strip()))


def has_text(prompt: Prompt) -> bool:
    """Whether there is a text that may answer alone."""
    return isinstance(prompt, FusedPrompt) and prompt.has_text


def deciding(
    prompts: Sequence[Prompt], rows: Sequence[int], standings: Sequence[Standing] | None
) -> list[int]:
    """Those of `rows` whose image decides; where each of them stands is noted in its prompt.

    `standings` are those of `rows`, or None for a checkpoint that knows no domain.
    """
    if standings is None:
        return list(rows)
    found = []
    for row, standing in zip(rows, standings, strict=True):
        prompt = prompts[row]
        if standing.reason is None or not has_text(prompt):
            prompt.standings.append(standing)
            found.append(row)
    return found


def pixels_of(image: Image.Image, side: int) -> NDArray[np.float32]:
    """An upright RGB image, padded to a square with grey, as (3, side, side) from -1 to 1."""
    upright = ImageOps.exif_transpose(image).convert("RGB")
    scale = side / max(upright.size)
    width, height = (max(round(length * scale), 1) for length in upright.size)
    canvas = Image.new("RGB", (side, side), GREY)
    small = upright.resize((width, height), Image.Resampling.BICUBIC)
    canvas.paste(small, ((side - width) // 2, (side - height) // 2))
    pixels = np.asarray(canvas).transpose(2, 0, 1).astype(np.float32)
    return pixels / np.float32(127.5) - np.float32(1.0)
