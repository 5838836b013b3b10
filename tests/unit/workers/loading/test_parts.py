"""Checkpoints that lie side by side store once what they have in common."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import read_config
from workers.loading.parts import FILE, located, open_tensors
from workers.training.share import share

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


def write(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("{}")
    (folder / "checksums.json").write_text(json.dumps({"config.json": ""}))
    (folder / "domain.safetensors").write_bytes(b"the same in both" * 99)
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A model, and another that has its tower under another name."""
    rng = np.random.default_rng(0)
    tower = {f"tower.{at}.weight": rng.random((16, 16)).astype(np.float16) for at in range(9)}
    head = rng.random((4, 4)).astype(np.float16)
    first = write(tmp_path / "first", {**tower, "head": head})
    renamed = {f"eye.{name}": part for name, part in tower.items()}
    return first, write(tmp_path / "second", {**renamed, "head": head + 1})


def tensors_of(folder: Path) -> dict[str, np.ndarray]:
    found = open_tensors(folder, "np")
    return {name: file.get_tensor(own) for name, (file, own) in found.items()}


def test_what_both_have_is_stored_once_and_read_as_before(folders: tuple[Path, Path]) -> None:
    first, second = folders
    before = load_file(second / "model.safetensors")
    freed = share(second, ["first"])
    assert freed > 9 * 16 * 16 * 2
    assert set(load_file(second / "model.safetensors")) == {"head"}
    (second / "domain.safetensors").unlink(missing_ok=True)
    assert located(second, "domain.safetensors") == first.resolve() / "domain.safetensors"
    (first / "domain.safetensors").unlink()
    after = tensors_of(second)
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_a_part_that_changed_or_is_gone_is_named(folders: tuple[Path, Path]) -> None:
    first, second = folders
    share(second, ["first"])
    read_config(second)
    other = load_file(first / "model.safetensors")
    save_file({**other, "head": other["head"] * 2}, first / "model.safetensors")
    with pytest.raises(CheckpointInvalid, match=r"shares 'first/model\.safetensors'.*sha256"):
        read_config(second)
    shutil.rmtree(first)
    with pytest.raises(CheckpointInvalid, match="no file"):
        read_config(second)


@pytest.mark.parametrize("file", ["../first/model.safetensors", "/etc/passwd", "a/b/c", "first/.."])
def test_a_part_lies_in_a_folder_beside_it_and_nowhere_else(tmp_path: Path, file: str) -> None:
    entry = {"file": file, "sha256": "0", "prefix": "a", "becomes": "b"}
    (tmp_path / FILE).write_text(json.dumps({"weights": [entry]}))
    with pytest.raises(CheckpointInvalid, match=r"parts\.json"):
        open_tensors(tmp_path, "np")
