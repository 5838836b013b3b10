"""Train the bundled `vl` checkpoint: `python -m workers.training.vl --data DIR --out DIR`.

First the vision tower under plain heads, then the language model over the frozen tower, then
one temperature on photos that neither has seen. `--minutes` is wall clock, so two machines
stop at different steps; `--epochs` makes a run repeatable. Knows no engine and no fleet.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    DeepseekVLForConditionalGeneration,
    DeepseekVLProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)

from workers.training.lessons import corpus
from workers.training.photos import (
    CLOTHING,
    IMAGE_PX,
    NOTHING,
    STORE_PX,
    PhotoSet,
    Shot,
    draw_pool,
    hold_out,
    load,
    read_iconic,
    read_shots,
)
from workers.training.speech import PATCHES, SpeechRun, build_model, train_speech
from workers.training.temperature import calibrate
from workers.training.tokenizer import (
    ASSISTANT,
    CHAT_TEMPLATE,
    END,
    IMAGE,
    PAD,
    USER,
    train_tokenizer,
)
from workers.training.tower import Labels, Tower, TowerRun, train_tower

HELD_OUT = 0.08
DRAWN, EMPTY = 3600, 400
ICONIC_WEIGHT = 3  # one shop photo a product would be lost among dozens from the shelf
VOCABULARY = 1500
SPEECH_SHARE = 0.3  # of the minutes; the tower has the rest


@dataclass(frozen=True, slots=True)
class Pools:
    """What the model is trained on, and what it is chosen and calibrated by."""

    photos: PhotoSet
    drawn: PhotoSet
    held: PhotoSet
    labels: Labels


def gather(data: Path, seed: int) -> Pools:
    """Read the photos under `data`, draw the scenes, and hold a part of the photos out."""
    train = load(read_shots(data, "train"), STORE_PX)
    kept, held = hold_out(train, HELD_OUT)
    iconic = load(read_iconic(data), STORE_PX)
    photos = PhotoSet(
        kept.shots + iconic.shots * ICONIC_WEIGHT,
        torch.cat([kept.pixels, *[iconic.pixels] * ICONIC_WEIGHT]),
    )
    exact = load(list(held.shots), IMAGE_PX)  # as the processor makes them
    drawn = draw_pool(DRAWN, EMPTY, seed, STORE_PX)
    return Pools(photos, drawn, exact, labels_of(train.shots))


def labels_of(shots: tuple[Shot, ...]) -> Labels:
    """The classes of a training set, sorted, with the clothes and `nothing` last."""
    products = sorted({shot.product for shot in shots if shot.product})
    groceries = sorted({shot.category for shot in shots if shot.department != "Clothing"})
    return Labels(tuple(products), (*groceries, *CLOTHING, NOTHING))


def save(
    model: DeepseekVLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, out: Path
) -> None:
    """Write the folder that `DeepseekVLProcessor` and the model class load: fp16 weights."""
    image_processor = DeepseekVLImageProcessorPil(
        size={"height": IMAGE_PX, "width": IMAGE_PX},
        min_size=1,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    processor = DeepseekVLProcessor(
        image_processor,
        _naming_its_image_token(tokenizer),
        chat_template=CHAT_TEMPLATE,
        num_image_tokens=PATCHES,
    )
    out.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(out)
    model.float()
    processor.save_pretrained(out)
    image_processor.save_pretrained(out)
    sums = {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in (
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "preprocessor_config.json",
        )
    }
    (out / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def _naming_its_image_token(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The same tokenizer with the `image_token` that the processor asks it for."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        image_token=IMAGE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
        model_max_length=tokenizer.model_max_length,
    )


def train(data: Path, out: Path, seed: int, minutes: float | None, epochs: float | None) -> None:
    """Run every stage and write checkpoint and train.log to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    log = _logger(out / "train.log")
    pools = gather(data, seed)
    log(
        f"seed {seed} threads {torch.get_num_threads()} photos {len(pools.photos)} "
        f"drawn {len(pools.drawn)} held-out {len(pools.held)}"
    )
    tower = _stage_one(pools, out / "tower.safetensors", seed, minutes, epochs, log)
    texts = corpus(list(pools.photos.shots) + list(pools.drawn.shots), seed)
    tokenizer = train_tokenizer(texts, VOCABULARY)
    model = build_model(tower.vision, tokenizer)
    run = SpeechRun(
        minutes=None if minutes is None else minutes * SPEECH_SHARE,
        steps=None,
        seed=seed,
        log=log,
    )
    if epochs is not None:
        run.steps = _steps(epochs * SPEECH_SHARE, pools, run.batch)
    train_speech(run, model, tokenizer, pools.photos, pools.drawn)
    categories = [name for name in pools.labels.category if name != NOTHING]
    calibrate(model, tokenizer, pools.held, categories, log)
    save(model, tokenizer, out)
    (out / "tower.safetensors").unlink()  # a way to resume, not a part of the checkpoint


def _stage_one(
    pools: Pools,
    snapshot: Path,
    seed: int,
    minutes: float | None,
    epochs: float | None,
    log: Callable[[str], None],
) -> Tower:
    run = TowerRun(
        minutes=None if minutes is None else minutes * (1 - SPEECH_SHARE),
        steps=None,
        seed=seed,
        snapshot=snapshot,
        log=log,
    )
    if epochs is not None:
        run.steps = _steps(epochs, pools, run.batch)
    return train_tower(run, pools.photos, pools.drawn, pools.held, pools.labels)


def _steps(epochs: float, pools: Pools, batch: int) -> int:
    return max(1, round(epochs * (len(pools.photos) + len(pools.drawn)) / batch))


def _logger(path: Path) -> Callable[[str], None]:
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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="wall clock of both stages together")
    length.add_argument("--epochs", type=float, help="passes over the pictures of stage one")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    minutes = given.minutes if given.minutes or given.epochs else 60.0
    train(given.data, given.out, given.seed, minutes, given.epochs)


if __name__ == "__main__":
    main()
