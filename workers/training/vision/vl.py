"""Train the bundled `vl` checkpoint: `python -m workers.training.vision.vl --data DIR --out DIR`.

The tower begins with public ImageNet weights; its top is tuned to the photos and a small branch
beside it to drawn scenes, then the language model learns to speak of what it sees, on photos, drawn
products and drawn scenes. Photos that
nothing was trained on give the domain and the temperature. What is slow is kept in `--cache`, so
that a run that was cut short goes on. Knows no engine and no fleet.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from workers.synthetic.scenes import compose
from workers.training.pictures.lessons import corpus
from workers.training.pictures.photos import (
    IMAGE_PX,
    NOTHING,
    STORE_PX,
    Shot,
    draw_pool,
    draw_scenes,
    load,
    pool_shots,
    read_iconic,
    read_shots,
    scene_shot,
)
from workers.training.pictures.plain_scenes import draw_plain_scenes, plain_shots
from workers.training.pictures.split import hold_out
from workers.training.text.tokenizer import train_tokenizer
from workers.training.vision.detail import DetailRun, train_detail
from workers.training.vision.imagenet import public_tower
from workers.training.vision.probe import FIELDS, Probe, train_probe
from workers.training.vision.save import save
from workers.training.vision.speaker import Speaker, build_model
from workers.training.vision.speech import Phase, SpeechRun, train_speech
from workers.training.vision.temperature import best_scale, choose, scale_logits
from workers.training.vision.tune import TuneRun, tune
from workers.training.vision.unseen import fit_domain
from workers.training.vision.views import Eye, Views, embeddings
from workers.vision.domain import Domain
from workers.vision.lite import LiteTower, fold

HELD_OUT = 0.08
ICONIC_WEIGHT = 3  # one shop photo a product would be lost among dozens from the shelf
VOCABULARY = 1500
# Of photos, drawn products, scenes and plain scenes: all alike, mostly photos, mostly scenes.
PHASES = (
    Phase(0, 2000, (0.42, 0.08, 0.2, 0.3), aligner=0.25),
    Phase(1200, 6400, (0.42, 0.08, 0.2, 0.3), unseen=0.3, aligner=1.0),
)
DETAIL_SIZE = 96
# What the cache keeps, beside maps.
HELD, TOWER, PROBE, SPEECH = "held.json", "tower", "probe.safetensors", "speech.pt"
BOUNDED = 1500  # of each set of drawings, for the domain
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class VisionSchedule:
    """How much a run looks at, and how long it learns."""

    views: int = 6
    tune_epochs: float = 7
    detail_steps: int = 8000
    drawn: int = 1200
    empty: int = 600
    scenes: int = 7000
    plain: int = 15000


@dataclass(frozen=True, slots=True)
class Pools:
    """What the model learns from, and the held-out photos that it is fitted and judged by."""

    photos: Views  # of the training tables, then the shop photos
    kept: list[int]
    held: list[int]
    drawn: Views
    scenes: Views
    plain: Views

    @property
    def taught(self) -> Views:
        """The photos to train on, the shop photos several times."""
        return self.photos.pick(self.kept)

    @property
    def held_views(self) -> Views:
        """The held-out photos."""
        return self.photos.pick(self.held)


def gather(
    data: Path, tower: LiteTower, cache: Path, plan: VisionSchedule, seed: int, log: Log
) -> Pools:
    """Look at the photos under `data` and at drawings, and hold a part of the photos out."""
    eye = Eye(tower, seed, log, cache)
    shelf, iconic = read_shots(data, "train"), read_iconic(data)
    every = [*shelf, *iconic]
    photos = eye.look("photos", every, lambda: load(every, STORE_PX).pixels, plan.views)
    held = _held(shelf, lambda: embeddings(tower, photos.maps[0, : len(shelf)]), cache / HELD)
    kept = sorted(set(range(len(shelf))) - set(held))
    shop = list(range(len(shelf), len(every)))
    return Pools(
        photos,
        kept + shop * ICONIC_WEIGHT,
        held,
        eye.look(
            "drawn",
            pool_shots(plan.drawn, plan.empty),
            lambda: draw_pool(plan.drawn, plan.empty, seed, STORE_PX).pixels,
            2,
        ),
        eye.look(
            "scenes",
            [scene_shot(compose(seed + at)) for at in range(plan.scenes)],
            lambda: draw_scenes(plan.scenes, seed, IMAGE_PX).pixels,
            1,
        ),
        eye.look(
            "plain",
            plain_shots(plan.plain, seed),
            lambda: draw_plain_scenes(plan.plain, seed, IMAGE_PX),
            1,
        ),
    )


def _held(shelf: list[Shot], seen: Callable[[], Tensor], path: Path) -> list[int]:
    """The rows that are held out, kept in `path`; `seen` are embeddings of the untuned tower."""
    if not path.is_file():
        path.write_text(json.dumps(hold_out(shelf, seen(), HELD_OUT)), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def see(
    tower: LiteTower, pools: Pools, folder: Path, plan: VisionSchedule, seed: int, log: Log
) -> LiteTower:
    """The tuned tower, its norms folded in: from `folder`, or tuned now and kept there."""
    if (folder / "config.json").is_file():
        log(f"tower from {folder.name!r} in the cache")
        return LiteTower.from_pretrained(folder).eval()
    taught, held = pools.taught, pools.held_views
    probe = train_probe(embeddings(tower, taught.maps[0]), taught.shots, seed)
    held_NE = embeddings(tower, held.maps[0])
    found = " ".join(f"{f} {probe.accuracy(f, held_NE, held.shots):.3f}" for f in FIELDS)
    log(f"probe of the public tower, held-out photos: {found}")
    tune(TuneRun(plan.tune_epochs, seed, log), tower, probe, taught, held)
    empty = [at for at, shot in enumerate(pools.drawn.shots) if shot.category == NOTHING]
    sources = (pools.scenes, pools.plain, pools.drawn.pick(empty))
    train_detail(DetailRun(plan.detail_steps, seed, log), tower, sources)
    tuned = fold(tower)
    tuned.save_pretrained(folder)
    return tuned


def speak(
    tower: LiteTower, pools: Pools, cache: Path, plan: VisionSchedule, seed: int, log: Log
) -> Speaker:
    """The language model, trained over the frozen `tower`."""
    taught, held = pools.taught, pools.held_views
    probe = Probe.load(cache / PROBE)
    if probe is None:
        probe = train_probe(embeddings(tower, taught.maps[0]), taught.shots, seed)
        probe.save(cache / PROBE)
    held_NE = embeddings(tower, held.maps[0])
    found = " ".join(f"{f} {probe.accuracy(f, held_NE, held.shots):.3f}" for f in FIELDS)
    log(f"probe of the tuned tower, held-out photos: {found}")
    sources = (taught, pools.drawn, pools.scenes, pools.plain)
    texts = corpus([shot for views in sources for shot in views.shots], seed)
    tokenizer = train_tokenizer(texts, VOCABULARY)
    torch.manual_seed(seed)
    model = build_model(tower, tokenizer)
    run = SpeechRun(PHASES, seed, log, snapshot=cache / SPEECH)
    train_speech(run, model, tokenizer, sources, probe)
    return Speaker(model, tokenizer, seed)


def bound(tower: LiteTower, pools: Pools, seed: int, log: Log) -> Domain:
    """What is inside: the kinds of the photos, and of the drawings."""
    drawings = [
        views.pick(list(range(min(BOUNDED, len(views)))))
        for views in (pools.drawn, pools.scenes, pools.plain)
    ]
    drawn_NE = torch.cat([embeddings(tower, views.maps[0]) for views in drawings])
    shots = [shot for views in drawings for shot in views.shots]
    photo_NE = embeddings(tower, pools.photos.maps[0])
    domain = fit_domain(photo_NE, pools.photos.shots, pools.held, drawn_NE, shots, seed, log)
    for name, views in zip(("drawn", "scenes", "plain"), drawings, strict=True):
        inside = domain.likely(embeddings(tower, views.maps[0])) >= domain.least
        log(f"unseen: {float(inside.mean()):.3f} of {name} pictures are inside")
    return domain


def calibrate(speaker: Speaker, pools: Pools, domain: Domain, log: Log) -> None:
    """Scale the model's logits so that it is as sure of held-out photos as it is right."""
    held = pools.held_views
    names = sorted({shot.category for shot in pools.photos.shots})
    chosen = choose(speaker, held.maps[0], "category", [*names, None])
    right = [one.value == shot.category for one, shot in zip(chosen, held.shots, strict=True)]
    tower = speaker.model.model.vision_model
    likely = domain.likely(embeddings(tower, held.maps[0])).tolist()
    scale = best_scale(chosen, right, likely)
    scale_logits(speaker, scale)
    log(
        f"logits times {scale}: {sum(right) / len(right):.3f} of {len(right)} held-out photos right"
    )


def train(data: Path, out: Path, cache: Path, plan: VisionSchedule, seed: int) -> None:
    """Run every stage and write checkpoint and train.log to `out`."""
    for folder in (out, cache):
        folder.mkdir(parents=True, exist_ok=True)
    log = _logger(out / "train.log")
    log(f"seed {seed} threads {torch.get_num_threads()} {plan}")
    public = public_tower(IMAGE_PX, DETAIL_SIZE)
    pools = gather(data, public, cache, plan, seed, log)
    tower = see(public, pools, cache / TOWER, plan, seed, log)
    speaker = speak(tower, pools, cache, plan, seed, log)
    domain = bound(tower, pools, seed, log)
    calibrate(speaker, pools, domain, log)
    products = [shot.product for shot in pools.photos.shots if shot.product is not None]
    save(speaker.model, speaker.tokenizer, domain, products, out)


def _logger(path: Path) -> Log:
    started = time.monotonic()

    def log(line: str) -> None:
        stamped = f"[{(time.monotonic() - started) / 60:6.1f} min] {line}"
        print(stamped, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(stamped + "\n")

    return log


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train the bundled vl checkpoint.")
    parser.add_argument("--data", type=Path, required=True, help="folder of grocery/, clothing/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--cache", type=Path, help="folder of maps and states (OUT-cache)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    for field in fields(VisionSchedule):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    given = vars(parser.parse_args())
    torch.set_num_threads(given["threads"])
    out: Path = given["out"]
    cache = given["cache"] or out.with_name(out.name + "-cache")
    plan = VisionSchedule(**{field.name: given[field.name] for field in fields(VisionSchedule)})
    train(given["data"], out, cache, plan, given["seed"])


if __name__ == "__main__":
    main()
