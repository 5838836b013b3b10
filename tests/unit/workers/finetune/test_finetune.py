"""Fine-tuning of tiny random models: it learns, goes on after a kill, and gives a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from orchestra.core.call import Reply
from orchestra.core.errors import (
    CheckpointInvalid,
    InvalidTable,
    MissingExtra,
    OutputMismatch,
    PromptTooLong,
    UsageError,
)
from orchestra.finetune.order import FinetuneSettings, Trained, TrainingTask
from orchestra.finetune.rows import TrainingRow, schemas
from tests.tiny_models import (
    CONTEXT_TOKENS,
    chain_model,
    tiny_deepseek_vl,
    tiny_lite_vl,
    tiny_qwen2,
    tiny_tokenizer,
    write_domain,
)
from workers.engine import TransformersEngine
from workers.finetune.base import open_base
from workers.finetune.lessons import IGNORED, Lesson, lesson, padded, passes, rows_of_step
from workers.finetune.state import FILE
from workers.finetune.trainer import run, steps_of, usual_rate
from workers.vision.domain import Domain

ANSWER = {"kind": "cup"}


class Killed(BaseException):
    """Stands for the end of the process."""


def rows(count: int, **more: Any) -> list[TrainingRow]:
    return [TrainingRow(at, "What?", ANSWER, f"red {at}", **more) for at in range(count)]


def work(
    base: Path, out: Path, train: list[TrainingRow], held_out: list[TrainingRow], **settings: Any
) -> TrainingTask:
    out.mkdir(exist_ok=True)
    usual: dict[str, Any] = {"steps": 40, "lr": 1e-2, "batch": 4}
    return TrainingTask("run", base, "cpu", out, train, held_out, schemas([*train, *held_out]),
                FinetuneSettings(**(usual | settings)))  # fmt: skip


def quiet(line: str) -> None:
    """Nobody listens."""


def tiny_llama(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=CONTEXT_TOKENS, initializer_range=0.4,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)  # transformers' own types refuse a dtype here
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def whole(trained: Trained) -> tuple[float, float]:
    return trained.before[-1].share, trained.after[-1].share


@pytest.mark.parametrize("build", [tiny_qwen2, tiny_llama])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_learns_its_rows_and_the_result_is_a_plain_checkpoint(
    tmp_path: Path, build: Any, method: str
) -> None:
    base = build(tmp_path / "base")
    order = work(base, tmp_path / "out", rows(8), rows(11)[8:], method=method)
    trained = run(order, quiet)
    assert whole(trained) == (0, 1)
    assert trained.steps == 40 and trained.tokens > 0
    before, after = (load_file(place / "model.safetensors") for place in (base, order.out))
    assert before.keys() == after.keys()  # adapters are merged
    assert all(before[name].dtype == after[name].dtype for name in before)
    assert (trained.trained_parameters < trained.parameters) == (method == "lora")
    engine = TransformersEngine.load(order.out)  # its checksums hold
    (reply,) = engine.generate(
        [TrainingRow(1, "What?", ANSWER, "red 99").call(schemas(rows(1))["kind",])]
    )
    assert isinstance(reply, Reply) and reply.value == ANSWER


def test_a_killed_run_goes_on_and_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    base = tiny_qwen2(tmp_path / "base")
    table = rows(6), rows(8)[6:]
    one = work(base, tmp_path / "one", *table, steps=12, snapshot_s=1e-9)
    run(one, quiet)
    two = work(base, tmp_path / "two", *table, steps=12, snapshot_s=1e-9)
    told: list[str] = []

    def kill_at_five(line: str) -> None:
        told.append(line)
        if line == "kept the state after step 5":
            raise Killed

    with pytest.raises(Killed):
        run(two, kill_at_five)
    assert not (two.out / "model.safetensors").exists()
    told.clear()
    trained = run(two, told.append)
    assert "going on after step 5" in told
    assert not any(line.startswith("before") for line in told)  # it was measured already
    assert trained.steps == 12
    first, second = (load_file(place.out / "model.safetensors") for place in (one, two))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_state_of_another_run_or_a_damaged_one_is_not_gone_on_from(tmp_path: Path) -> None:
    base = tiny_qwen2(tmp_path / "base")
    order = work(base, tmp_path / "out", rows(4), rows(5)[4:], steps=1)
    run(order, quiet)
    other = TrainingTask(
        "other", *(getattr(order, name) for name in list(TrainingTask.__slots__)[1:])
    )
    with pytest.raises(OutputMismatch, match="Give another --out"):
        run(other, quiet)
    (order.state / FILE).write_bytes(b"nothing")
    with pytest.raises(CheckpointInvalid, match="Remove it to begin anew"):
        run(order, quiet)


def test_photos_teach_aligner_and_decoder_and_leave_the_tower_as_it_is(tmp_path: Path) -> None:
    base = tiny_deepseek_vl(tmp_path / "base")
    table: list[TrainingRow] = []
    for at in range(10):
        kind, colour = (("cup", "red"), ("hat", "blue"))[at % 2]
        path = tmp_path / f"{at}.png"
        Image.new("RGB", (20 + at, 20), colour).save(path)
        table.append(TrainingRow(at, "What?", {"kind": kind}, image=path))
    table.append(
        TrainingRow(11, "Say cup.", {"kind": "cup"})
    )  # a row without a photo in the same batch
    order = work(base, tmp_path / "out", table[:6] + table[10:], table[6:10], steps=80)
    trained = run(order, quiet)
    assert trained.after[-1].share == 1
    before, after = (load_file(place / "model.safetensors") for place in (base, order.out))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("vision_model" in name for name in changed)
    assert any("aligner" in name for name in changed)
    assert any("language_model" in name for name in changed)


def photo_rows(folder: Path, count: int) -> list[TrainingRow]:
    """Rows with red or blue noise, each of them new."""
    table: list[TrainingRow] = []
    for at in range(count):
        kind, tint = (("cup", (255, 60, 60)), ("hat", (60, 60, 255)))[at % 2]
        path = folder / f"{at}.png"
        noise = Image.effect_noise((20, 20), 40 + at).convert("RGB")
        Image.blend(noise, Image.new("RGB", (20, 20), tint), 0.6).save(path)
        table.append(TrainingRow(at, "What?", {"kind": kind}, image=path))
    return table


def test_a_tuned_vision_model_knows_the_photos_of_its_rows_and_those_of_its_base(
    tmp_path: Path,
) -> None:
    base = tiny_lite_vl(tmp_path / "base")
    write_domain(base, width=16, knows=True)
    table = photo_rows(tmp_path, 24)
    order = work(base, tmp_path / "out", table[:18], table[18:], steps=2)
    told: list[str] = []
    run(order, told.append)
    assert "its domain is that of the base and 24 photos of the rows" in told
    domain, old = Domain.load(order.out), Domain.load(base)
    assert domain is not None and old is not None and len(domain.worlds) == 2
    seeing = open_base(order.out, "cpu")
    pixels = torch.cat([(lesson(seeing, row).pixels or {})["pixel_values"] for row in table])
    embedding = seeing.model.model.vision_model(pixels).pooler_output.detach()
    assert (domain.worlds[1].strangeness(embedding.numpy()) <= 0).mean() >= 0.9
    assert (domain.strangeness(embedding) <= old.strangeness(embedding) + 1e-3).all()
    TransformersEngine.load(order.out)  # its checksums hold


def test_few_photos_leave_no_domain_and_that_is_said(tmp_path: Path) -> None:
    base = tiny_lite_vl(tmp_path / "base")
    write_domain(base, width=16, knows=False)
    table = photo_rows(tmp_path, 6)
    order = work(base, tmp_path / "out", table[:4], table[4:], steps=1)
    told: list[str] = []
    run(order, told.append)
    assert any("6 photos are too few" in line for line in told)
    assert Domain.load(order.out) is None


def test_a_row_that_does_not_fit_or_has_a_photo_for_a_text_model_is_named(tmp_path: Path) -> None:
    base = open_base(tiny_qwen2(tmp_path / "base"), "cpu")
    long = TrainingRow(7, "What?", ANSWER, "red " * CONTEXT_TOKENS)
    with pytest.raises(PromptTooLong, match=rf"Line 7 has \d+ tokens.*holds {CONTEXT_TOKENS}"):
        lesson(base, long)
    with pytest.raises(UsageError, match=r"Line 3 .*reads text only.*mini/vl"):
        lesson(base, TrainingRow(3, "What?", ANSWER, image=tmp_path / "x.png"))
    seeing = open_base(tiny_deepseek_vl(tmp_path / "vl"), "cpu")
    with pytest.raises(InvalidTable, match="line 3"):
        lesson(seeing, TrainingRow(3, "What?", ANSWER, image=tmp_path / "x.png"))


def test_a_model_that_thinks_first_learns_an_empty_thought_before_the_answer(
    tmp_path: Path,
) -> None:
    base = open_base(chain_model(tmp_path / "r1", ["a", "b"]), "cpu")
    item = lesson(base, rows(1)[0])
    answer = str(base.tokenizer.decode(item.ids[item.answer_start : -1]))
    assert answer.lstrip("\n").startswith("</think>\n\n{")
    assert item.ids[-1] == base.tokenizer.eos_token_id


def test_without_peft_lora_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = open_base(tiny_qwen2(tmp_path / "base"), "cpu")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"orchestra-fleet\[train\]"):
        base.choose("lora", 0)


def test_each_pass_takes_every_row_once_in_an_order_of_its_own() -> None:
    taken = [at for step in range(10) for at in rows_of_step(20, step, 4, seed=3)]
    first, second = taken[:20], taken[20:]
    assert sorted(first) == sorted(second) == list(range(20)) and first != second
    assert rows_of_step(20, 3, 4, seed=3) == taken[12:16]


def test_only_answers_are_targets_and_long_batches_are_learnt_in_parts() -> None:
    some = [Lesson([1, 2, 3, 4], 2), Lesson([5, 6, 7], 1)]
    given = padded(some, torch.device("cpu"), pad=0)
    assert given.inputs["logits_to_keep"].tolist() == [0, 1, 2]
    assert given.targets_BK.tolist() == [[IGNORED, 3, 4], [6, 7, IGNORED]]
    assert given.inputs["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    long = [Lesson([0] * 1500, 1) for _ in range(5)]
    assert [len(part) for part in passes(long)] == [2, 2, 1]


def test_length_and_rate_follow_rows_and_size() -> None:
    assert steps_of(FinetuneSettings(batch=16), 100) == 32
    assert steps_of(FinetuneSettings(minutes=1), 100) is None
    assert usual_rate(1_800_000, "full") > usual_rate(1_500_000_000, "full")
    assert usual_rate(1_800_000, "lora") > usual_rate(1_800_000, "full")
