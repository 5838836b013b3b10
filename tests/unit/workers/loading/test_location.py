"""Checkpoints by folder or public id: found offline, and what is said when they are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from orchestra.core.card import parse_fleet
from orchestra.core.errors import CheckpointInvalid
from orchestra.fleet.local import local_client
from tests.contract.engine_contract import replies
from tests.tiny_models import tiny_qwen2
from workers.engine import Call, TransformersEngine
from workers.loading.location import find, missing_files

PUBLIC = "some-org/Tiny-Model.v1"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def cached(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint as huggingface_hub keeps it: a snapshot and a reference to it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--some-org--Tiny-Model.v1"
    snapshot = home / "snapshots" / COMMIT
    shutil.copytree(folder, snapshot)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    return snapshot


def test_a_path_is_taken_as_it_is(folder: Path):
    assert find(folder) == folder
    assert find(str(folder)) == folder


def test_a_public_id_in_the_cache_is_found_offline(cached: Path):
    assert find(PUBLIC) == cached
    engine = TransformersEngine.load(PUBLIC)
    assert replies(engine.generate([Call("Go on.", max_tokens=3)]))


def test_a_public_id_that_is_not_cached_names_the_command_that_fetches_it():
    with pytest.raises(CheckpointInvalid, match=r"hf download nobody/nothing .*safetensors"):
        find("nobody/nothing")


def test_a_download_that_broke_off_names_what_is_missing(cached: Path):
    (cached / "model.safetensors").unlink()
    with pytest.raises(CheckpointInvalid, match=r"lacks 'model\.safetensors'.*hf download"):
        find(PUBLIC)


def test_a_shard_that_is_missing_is_named(folder: Path, tmp_path: Path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    index = '{"weight_map": {"a": "model-1.safetensors", "b": "model.safetensors"}}'
    (copy / "model.safetensors.index.json").write_text(index)
    assert missing_files(copy) == ["model-1.safetensors"]
    with pytest.raises(CheckpointInvalid, match=r"'model-1\.safetensors' is missing"):
        TransformersEngine.load(copy)


@pytest.mark.parametrize("name", ["a/b/c", "../elsewhere", "/nowhere/at/all", "plain"])
def test_a_name_that_is_neither_folder_nor_id_is_refused(name: str):
    with pytest.raises(CheckpointInvalid, match="no public id"):
        find(name)


def fleet_with(checkpoint: str, **hosting: object):
    raw = {
        "name": "f",
        "models": [
            {
                "name": "m",
                "role": "R1",
                "capabilities": ["text"],
                "price": {"as_of": "2026-11-01"},
                "profile": {"origin": "estimated"},
                "hosting": {
                    "memory_gib": 1,
                    "worker": "tests.unit.workers.loading.test_location:Recorder",
                    "checkpoint": checkpoint,
                    **hosting,
                },
                "limits": {"context_tokens": 512},
            }
        ],
    }
    return parse_fleet(raw, origin="test").card("m")


class Recorder:
    """A worker that only remembers what it was asked to load."""

    asked: tuple[object, dict[str, object]] = ("", {})

    @classmethod
    def load(cls, checkpoint: Path | str, **settings: object) -> Recorder:
        cls.asked = (checkpoint, settings)
        return cls()

    def generate(self, calls: object, *rest: object) -> list[object]:
        """It is never asked."""
        raise NotImplementedError


async def test_a_card_hands_over_folder_id_device_and_sampling(tmp_path: Path):
    (tmp_path / "org" / "local").mkdir(parents=True)
    sampling = {"temperature": 0.6, "top_p": 0.95}
    for checkpoint, hosting in [
        ("org/public", {"device": "cuda", "sampling": sampling}),
        ("org/local", {}),
    ]:
        client = local_client(fleet_with(checkpoint, **hosting), tmp_path, threads=1)
        loaded = await client.engine()
        await client.close()
        place, settings = type(loaded).asked  # pyright: ignore[reportAttributeAccessIssue]
        if checkpoint == "org/public":
            assert place == "org/public" and settings["device"] == "cuda"
            assert settings["sampling"].temperature == 0.6
        else:
            assert place == tmp_path / "org" / "local" and set(settings) == {"threads"}
