"""Teach `vl`'s language model to speak of what its tower sees; knows no files.

Several lessons about one picture share its image tokens: they stand behind each other, and a mask
keeps them apart. Shapes: B pictures, P image tokens, T tokens of their lessons, S = 1 + P + T,
D hidden, V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from workers.lite import LiteTower
from workers.training.lessons import lesson
from workers.training.muon import Muon
from workers.training.photos import Shot
from workers.training.probe import Probe
from workers.training.tokenizer import ASSISTANT, END, IMAGE, PAD, USER
from workers.training.views import Sampler, Views

MUON_RATE = 0.02
ALIGNER_PACE = 0.25  # it starts from the probe, and should not forget it
LESSONS = 4  # about each picture of a batch
WARM_UP, COOL_DOWN = 30, 0.3  # steps, and the share of all at whose end the rate is near zero


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of a special token."""
    return tokenizer.get_vocab()[token]


def image_tokens(model: DeepseekVLForConditionalGeneration) -> int:
    """How many tokens an image takes."""
    config = cast(Any, model.config).vision_config
    return (config.image_size // config.patch_size) ** 2


def build_model(
    tower: LiteTower, tokenizer: PreTrainedTokenizerFast
) -> DeepseekVLForConditionalGeneration:
    """An untrained `DeepseekVL` around a folded tower: 3 Llama layers, 192 wide."""
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=448,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=1024,
        pad_token_id=token_id(tokenizer, PAD),
        bos_token_id=None,
        eos_token_id=token_id(tokenizer, END),
    )
    config = DeepseekVLConfig(
        text_config=text.to_dict(),
        vision_config=tower.config.to_dict(),
        image_token_id=token_id(tokenizer, IMAGE),
    )
    model = DeepseekVLForConditionalGeneration(config)
    model.model.vision_model.load_state_dict(tower.state_dict())
    return model


@torch.no_grad()
def start_aligner(
    model: DeepseekVLForConditionalGeneration, maps_BCHW: Tensor, probe: Probe
) -> None:
    """Begin with units that show each class of `probe` at each place; the rest see at random.

    Every unit has deviation 1 over the tokens of these maps, so that no feature drowns another.
    """
    linear = model.model.aligner.linear1
    tokens = cast(Any, model.model.vision_model).top(maps_BCHW).last_hidden_state.flatten(0, 1)
    linear.weight.div_(tokens.std(dim=0) + 0.05)
    shown = torch.cat(list(probe.weights.values()))[: len(linear.weight)]
    linear.weight[: len(shown)] = 0
    linear.weight[: len(shown), : shown.shape[1]] = shown
    linear.weight.div_((tokens @ linear.weight.T).std(dim=0)[:, None])
    linear.bias.copy_(-(linear.weight @ tokens.mean(dim=0)))


def encode_lesson(
    tokenizer: PreTrainedTokenizerFast, instruction: str, answer: str
) -> tuple[list[int], list[int]]:
    """Token ids after the image block: instruction up to the answer's mark, and the answer."""
    asked = tokenizer.encode(instruction + ASSISTANT, add_special_tokens=False)
    said = tokenizer.encode(answer + END, add_special_tokens=False)
    return asked, said


@dataclass(frozen=True, slots=True)
class Lessons:
    """The lessons of a batch: tokens, labels, and which lesson and place each has, all (B, T)."""

    ids_BT: Tensor
    labels_BT: Tensor
    lesson_BT: Tensor
    place_BT: Tensor


@dataclass(slots=True)
class SpeechRun:
    """One run's settings; `shares` are those of the sources in a batch.

    The state is kept in `snapshot` now and then, and a run that finds one goes on from there. Up to
    the cool-down the rate is even, so that a run may go on to more steps than it began with.
    """

    steps: int
    seed: int
    log: Callable[[str], None]
    shares: tuple[float, ...]
    batch: int = 48
    rate: float = 2e-3
    snapshot: Path | None = None
    kept_every: int = 100  # steps
    stops: int | None = None  # the step that a run is cut short at

    def pace(self, step: int) -> float:
        """The share of the highest rate at `step`."""
        left = (self.steps - step) / max(1.0, self.steps * COOL_DOWN)
        return min(1.0, (step + 1) / WARM_UP, 0.02 + 0.98 * left)


class Speaker:
    """The training state of one model; `loss` is the mean over the answers' tokens."""

    def __init__(
        self,
        model: DeepseekVLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.rng = random.Random(seed)
        self.user = token_id(tokenizer, USER)
        self.pad = token_id(tokenizer, PAD)
        self.patches = image_tokens(model)

    def features(self, maps_BCHW: Tensor) -> Tensor:
        """The tower's tokens (B, P, D) from the trunk's maps; the tower learns nothing."""
        with torch.no_grad():
            return cast(Any, self.model.model.vision_model).top(maps_BCHW).last_hidden_state

    def lessons(self, shots: list[Shot]) -> Lessons:
        """Random lessons about each of `shots`, encoded side by side."""
        rows = [
            [encode_lesson(self.tokenizer, *lesson(shot, self.rng)) for _ in range(LESSONS)]
            for shot in shots
        ]
        longest = max(sum(len(a) + len(s) for a, s in row) for row in rows)
        shape = (len(rows), longest)
        ids, labels = torch.full(shape, self.pad), torch.full(shape, -100)
        number, place = torch.full(shape, -1), torch.zeros(shape, dtype=torch.long)
        for line, row in enumerate(rows):
            at = 0
            for which, (asked, said) in enumerate(row):
                end = at + len(asked) + len(said)
                ids[line, at:end] = torch.tensor(asked + said)
                labels[line, end - len(said) : end] = torch.tensor(said)
                number[line, at:end] = which
                place[line, at:end] = torch.arange(end - at)
                at = end
        return Lessons(ids, labels, number, place)

    def loss(self, shots: list[Shot], maps_BCHW: Tensor) -> Tensor:
        """Cross-entropy of the answers to random lessons about each picture."""
        taught = self.lessons(shots)
        model = self.model.model
        seen_BPD = model.aligner(self.features(maps_BCHW).float())
        embed = self.model.get_input_embeddings()
        user_B1D = embed(torch.full((len(shots), 1), self.user))
        inputs = torch.cat([user_B1D, seen_BPD, embed(taught.ids_BT)], dim=1)
        head = torch.arange(self.patches + 1).expand(len(shots), -1)
        places = torch.cat([head, taught.place_BT + self.patches + 1], dim=1)
        hidden = model.language_model(
            inputs_embeds=inputs,
            attention_mask=self._mask(taught),
            position_ids=places,
            use_cache=False,
        ).last_hidden_state
        longest = taught.ids_BT.shape[1]
        before_BTD = hidden[:, -longest - 1 : -1]  # each predicts the token after it
        said_BT = taught.labels_BT != -100
        logits = self.model.lm_head(before_BTD[said_BT])
        return F.cross_entropy(logits.float(), taught.labels_BT[said_BT])

    def _mask(self, taught: Lessons) -> Tensor:
        """Which tokens each sees, (B, 1, S, S) of added scores: the image, and its own lesson."""
        before = self.patches + 1
        lesson_BS = F.pad(taught.lesson_BT, (before, 0), value=-2)
        same = lesson_BS[:, :, None] == lesson_BS[:, None, :]
        sees = same | (torch.arange(lesson_BS.shape[1]) < before)
        sees = sees & torch.ones(sees.shape[1:], dtype=torch.bool).tril()
        return torch.zeros(sees.shape).masked_fill(~sees, -1e9)[:, None]


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
        shots, maps = _batch(run, sources, samplers, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = speaker.loss(shots, maps)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        _step(optimizers, run.pace(step))
        now = float(loss.detach())
        smooth = now if step == first else smooth * 0.95 + now * 0.05
        if (step + 1) % 50 == 0 or step + 1 == run.steps:
            run.log(f"speech step {step + 1} of {run.steps} loss {smooth:.3f}")
        if (step + 1) % run.kept_every == 0:
            state.save(run.snapshot, step + 1)


def _batch(
    run: SpeechRun,
    sources: Sequence[Views],
    samplers: Sequence[Sampler],
    generator: torch.Generator,
) -> tuple[list[Shot], Tensor]:
    """The shots and maps of one step, each source with its share."""
    shots: list[Shot] = []
    maps = []
    for views, sampler, share in zip(sources, samplers, run.shares, strict=True):
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


def _step(optimizers: list[tuple[torch.optim.Optimizer, float]], pace: float) -> None:
    """Step each optimizer at `pace` times its highest rate."""
    for optimizer, rate in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * pace
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
    slow = rate * ALIGNER_PACE
    return [
        (Muon(kinds["decoder"], lr=MUON_RATE, decay=0.01), MUON_RATE),
        (torch.optim.AdamW(kinds["rest"], lr=rate, **adam), rate),
        (torch.optim.AdamW(kinds["aligner"], lr=slow, **adam), slow),
    ]
