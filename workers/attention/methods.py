"""The ways to say which places of a photo an answer rests on; knows no photo and no file.

Each takes a replay and gives signed weights (C, R, K): choices, rows, columns. Larger is more
important; what is below zero speaks against the choice.

- `raw`: attention from where a token is decided to the image tokens, mean over heads and layers.
- `relevancy`: attention weighed by its gradient and followed through the layers (Chefer, Gur and
  Wolf, "Generic attention-model explainability", ICCV 2021).
- `refined` (the default): `relevancy`, which knows the token, times what speaks for the choice at
  the finest cells, which knows the place: the positive part of activation times gradient, channel
  by channel, smoothed over neighbours.
- `gradient`: activation times gradient at the finest cells (as Grad-CAM of Selvaraju et al., 2017,
  but for each place by itself: Shrikumar et al., 2016).
- `occlusion`: how much less sure a choice is when a window of the photo is greyed out (Zeiler and
  Fergus, 2014); a control, since it looks into no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.attention.replay import CompletionReplay, PhotoCells, Pixels

STEPS = 8  # places of the occluding window a side
WINDOW = 2  # its width in steps
AT_ONCE = 16  # occluded copies that run together

Method = Callable[[CompletionReplay], Tensor]


def raw(replay: CompletionReplay) -> Tensor:
    """Attention to the image tokens."""
    with torch.no_grad():
        seen = replay.see_tokens(replay.pixels)
        _, attentions = replay.run(seen.tokens_of(seen.cells_BDRK))
    mean_SS = torch.stack([layer[0].mean(dim=0) for layer in attentions]).mean(dim=0)
    rows = mean_SS[replay.deciding][:, replay.image_places]
    return rows.unflatten(1, seen.cells_BDRK.shape[2:])


def relevancy(replay: CompletionReplay) -> Tensor:
    """Gradient-weighted attention, followed from the deciding place down to the image tokens."""
    _, odds_BC, attentions = _differentiable(replay, replay.see_tokens)
    maps = []
    for choice in range(len(replay.choices)):
        slopes = torch.autograd.grad(odds_BC[0, choice], attentions, retain_graph=True)
        maps.append(_relevance(replay, choice, attentions, slopes))
    return torch.stack(maps)


def refined(replay: CompletionReplay) -> Tensor:
    """Relevancy of the image tokens, refined by what speaks for the choice at the finest cells."""
    cells, odds_BC, attentions = _differentiable(replay, replay.see)
    maps = []
    for choice in range(len(replay.choices)):
        inputs = [cells, *attentions]
        slope, *slopes = torch.autograd.grad(odds_BC[0, choice], inputs, retain_graph=True)
        coarse = _relevance(replay, choice, attentions, slopes)
        fine = (slope * cells)[0].clamp_min(0).sum(dim=0).detach()
        if fine.shape != coarse.shape:
            padded = F.pad(fine[None, None], (1, 1, 1, 1), mode="replicate")
            fine = F.avg_pool2d(padded, 3, stride=1)[0, 0]
            coarse = F.interpolate(coarse[None, None], fine.shape, mode="bilinear")[0, 0]
        maps.append(coarse * fine)
    return torch.stack(maps)


def gradient(replay: CompletionReplay) -> Tensor:
    """Activation times gradient at the finest cells."""
    cells, odds_BC, _ = _differentiable(replay, replay.see)
    maps = []
    for choice in range(len(replay.choices)):
        (slope,) = torch.autograd.grad(odds_BC[0, choice], cells, retain_graph=True)
        maps.append((slope * cells)[0].sum(dim=0).detach())
    return torch.stack(maps)


def occlusion(replay: CompletionReplay) -> Tensor:
    """The loss of log-odds when a window is grey, spread over the window."""
    with torch.no_grad():
        whole_C = _odds(replay, replay.pixels)[0]
        places = [(row, column) for row in range(STEPS) for column in range(STEPS)]
        loss = torch.zeros(len(replay.choices), STEPS, STEPS)
        times = torch.zeros(STEPS, STEPS)
        windows = [_window(*place) for place in places]
        for start in range(0, len(windows), AT_ONCE):
            chunk = windows[start : start + AT_ONCE]
            pixels = {name: _greyed(part, chunk) for name, part in replay.pixels.items()}
            lost_BC = (whole_C - _odds(replay, pixels)).cpu()
            for (rows, columns), lost_C in zip(chunk, lost_BC, strict=True):
                loss[:, rows, columns] += lost_C[:, None, None]
                times[rows, columns] += 1
    return loss / times


def _differentiable(
    replay: CompletionReplay, see: Callable[[Pixels], PhotoCells]
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """The photo's cells, and what follows from them: log-odds (1, C) and attentions by layer."""
    with torch.no_grad():
        seen = see(replay.pixels)
    cells = seen.cells_BDRK.detach().requires_grad_(True)
    return cells, *replay.run(seen.tokens_of(cells))


def _relevance(
    replay: CompletionReplay, choice: int, attentions: Sequence[Tensor], slopes: Sequence[Tensor]
) -> Tensor:
    """How much of each image token flows into where `choice` is decided, (R, K)."""
    relevance_S = torch.zeros_like(attentions[0][0, 0, 0])
    relevance_S[replay.deciding[choice]] = 1.0
    # The last layer first: a row of the product, never the whole of it.
    for weights, slope in zip(attentions[::-1], slopes[::-1], strict=True):
        flow_SS = (weights[0] * slope[0]).clamp_min(0).mean(dim=0).detach()
        relevance_S = relevance_S + relevance_S @ flow_SS
    tokens = relevance_S[replay.image_places]
    return tokens.unflatten(0, (round(len(tokens) ** 0.5), -1))


def _odds(replay: CompletionReplay, pixels: Mapping[str, Tensor]) -> Tensor:
    seen = replay.see_tokens(dict(pixels))
    return replay.run(seen.tokens_of(seen.cells_BDRK))[0]


def _window(row: int, column: int) -> tuple[slice, slice]:
    """The steps that a window at this place covers; it is cut off at the edges."""
    first = -(WINDOW // 2)
    spans = [slice(max(at + first, 0), min(at + first + WINDOW, STEPS)) for at in (row, column)]
    return spans[0], spans[1]


def _greyed(pixels: Tensor, windows: list[tuple[slice, slice]]) -> Tensor:
    """A copy for each window, which is grey there: 0, the middle of normalised pixels."""
    copies = pixels.expand(len(windows), -1, -1, -1).clone()
    step = pixels.shape[-1] / STEPS
    for copy, (rows, columns) in zip(copies, windows, strict=True):
        high, wide = (
            slice(round(part.start * step), round(part.stop * step)) for part in (rows, columns)
        )
        copy[:, high, wide] = 0
    return copies


METHODS: dict[str, Method] = {
    "refined": refined,
    "gradient": gradient,
    "raw": raw,
    "relevancy": relevancy,
    "occlusion": occlusion,
}
DEFAULT = "refined"
