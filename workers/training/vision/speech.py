"""Teach `vl`'s language model to speak of what its tower sees; knows no files of photos.

Shapes: B pictures, C channels, H = W places of the finer map.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DeepseekVLForConditionalGeneration, PreTrainedTokenizerFast

from workers.training.gradients.muon import Muon
from workers.training.pictures.photos import Shot
from workers.training.vision.probe import Probe
from workers.training.vision.speaker import Speaker
from workers.training.vision.views import Sampler, Views

MUON_RATE = 0.02
WARM_UP, COOL_DOWN = 30, 0.3  # steps, and the share of all at whose end the rate is near zero


@dataclass(frozen=True, slots=True)
class Phase:
    """From step `first` to `end`: shares of the sources in a batch, and of a photo's unseen tokens.

    The rate is near zero at `end`. `aligner` is how fast the aligner learns beside the decoder: it
    starts from the probe, and should not forget it.
    """

    first: int
    end: int
    shares: tuple[float, ...]
    unseen: float = 0.0
    aligner: float = 0.25


@dataclass(slots=True)
class SpeechRun:
    """One run's settings: it ends where its last phase does.

    The state is kept in `snapshot` now and then, and a run that finds one goes on from there.
    """

    phases: tuple[Phase, ...]
    seed: int
    log: Callable[[str], None]
    batch: int = 24
    rate: float = 2e-3
    snapshot: Path | None = None
    kept_every: int = 100  # steps
    stops: int | None = None  # the step that a run is cut short at

    @property
    def steps(self) -> int:
        """All of them."""
        return self.phases[-1].end

    def phase(self, step: int) -> Phase:
        """The phase of `step`."""
        return max((p for p in self.phases if p.first <= step), key=lambda phase: phase.first)

    def pace(self, step: int) -> float:
        """The share of the highest rate at `step`."""
        end = self.phase(step).end
        left = (end - step) / max(1.0, end * COOL_DOWN)
        return min(1.0, (step + 1) / WARM_UP, 0.02 + 0.98 * left)


@torch.no_grad()
def start_aligner(
    model: DeepseekVLForConditionalGeneration, maps_BCHW: Tensor, probe: Probe
) -> None:
    """Begin with units that show each class of `probe`; see `start_units`."""
    tower = cast(Any, model.model.vision_model)
    tokens = tower.top(maps_BCHW).last_hidden_state
    start_units(model.model.aligner.linear1, tokens, probe, tower.config.detail_size)


def start_units(linear: nn.Linear, tokens_BTD: Tensor, probe: Probe, details: int = 0) -> None:
    """Let units show each class of `probe` at each place; the rest see at random.

    Of a token with `details`, its last channels, the rest see these alone.

    Every unit has deviation 1 over these tokens, so that no feature drowns another.
    """
    tokens = tokens_BTD.flatten(0, 1)
    linear.weight.div_(tokens.std(dim=0) + 0.05)
    shown = torch.cat(list(probe.weights.values()))[: len(linear.weight)]
    linear.weight[: len(shown)] = 0
    linear.weight[: len(shown), : shown.shape[1]] = shown
    if details:
        linear.weight[len(shown) :, :-details] = 0
    linear.weight.div_((tokens @ linear.weight.T).std(dim=0)[:, None])
    linear.bias.copy_(-(linear.weight @ tokens.mean(dim=0)))


def train_speech(
    run: SpeechRun,
    model: DeepseekVLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    sources: Sequence[Views],
    probe: Probe,
) -> None:
    """Train aligner and language model in place on pictures of all `sources`."""
    torch.manual_seed(run.seed)
    generator = torch.Generator().manual_seed(run.seed + 1)
    model.model.vision_model.requires_grad_(False)
    model.eval()  # no dropout in it
    speaker = Speaker(model, tokenizer, run.seed)
    samplers = [Sampler(views.shots, generator) for views in sources]
    start_aligner(model, torch.cat([views.plain(slice(0, 64)) for views in sources]), probe)
    optimizers = _optimizers(model, run.rate)
    state = _State(model, [optimizer for optimizer, _ in optimizers], speaker.rng, generator)
    first, smooth = state.load(run.snapshot), 0.0
    for step in range(first, run.stops or run.steps):
        phase = run.phase(step)
        shots, maps = _batch(run, phase, sources, samplers, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = speaker.loss(shots, maps, phase.unseen)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        _step(optimizers, run.pace(step), phase.aligner)
        now = float(loss.detach())
        smooth = now if step == first else smooth * 0.95 + now * 0.05
        if (step + 1) % 50 == 0 or step + 1 == run.steps:
            run.log(f"speech step {step + 1} of {run.steps} loss {smooth:.3f}")
        if (step + 1) % run.kept_every == 0:
            state.save(run.snapshot, step + 1)


def _batch(
    run: SpeechRun,
    phase: Phase,
    sources: Sequence[Views],
    samplers: Sequence[Sampler],
    generator: torch.Generator,
) -> tuple[list[Shot], Tensor]:
    """The shots and maps of one step, each source with its share."""
    shots: list[Shot] = []
    maps = []
    for views, sampler, share in zip(sources, samplers, phase.shares, strict=True):
        rows = sampler.rows(round(run.batch * share))
        shots += [views.shots[row] for row in rows.tolist()]
        maps.append(views.random(rows, generator))
    return shots, torch.cat(maps)


@dataclass(frozen=True, slots=True)
class _State:
    """All that a run's next step depends on."""

    model: DeepseekVLForConditionalGeneration
    optimizers: list[torch.optim.Optimizer]
    rng: random.Random
    generator: torch.Generator

    def save(self, path: Path | None, step: int) -> None:
        """Write the state to `path`, if there is one; `step` is the next step."""
        if path is None:
            return
        learned = {n: p.detach() for n, p in self.model.named_parameters() if p.requires_grad}
        state = {
            "step": step,
            "model": learned,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "rng": self.rng.getstate(),
            "generator": self.generator.get_state(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path | None) -> int:
        """Take up the state of `path`, if it is there; the next step."""
        if path is None or not path.is_file():
            return 0
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"], strict=False)
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        version, inner, gauss = state["rng"]
        self.rng.setstate((version, tuple(inner), gauss))
        self.generator.set_state(state["generator"])
        return state["step"]


def _step(
    optimizers: list[tuple[torch.optim.Optimizer, float]], pace: float, aligner: float
) -> None:
    """Step each optimizer at `pace` times its highest rate; the last one is the aligner's."""
    for optimizer, rate in optimizers:
        is_aligner = optimizer is optimizers[-1][0]
        for group in optimizer.param_groups:
            group["lr"] = rate * pace * (aligner if is_aligner else 1.0)
        optimizer.step()


def _optimizers(
    model: DeepseekVLForConditionalGeneration, rate: float
) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the decoder's matrices, AdamW for the rest, each with its highest rate."""
    kinds: dict[str, list[Tensor]] = {"decoder": [], "aligner": [], "rest": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            inner = "decoder" if parameter.ndim == 2 and ".layers." in name else "rest"
            kinds["aligner" if ".aligner." in name else inner].append(parameter)
    adam: dict[str, Any] = {"betas": (0.9, 0.95), "weight_decay": 0.01}
    return [
        (Muon(kinds["decoder"], lr=MUON_RATE, decay=0.01), MUON_RATE),
        (torch.optim.AdamW(kinds["rest"], lr=rate, **adam), rate),
        (torch.optim.AdamW(kinds["aligner"], lr=rate, **adam), rate),
    ]
