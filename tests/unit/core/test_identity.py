"""What makes another model, what makes another plan, and what makes neither."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from orchestra.core.card import (
    Card,
    Endpoint,
    FleetFile,
    Hosting,
    Limits,
    Price,
    Profile,
    Quality,
    Sampling,
)
from orchestra.core.identity import (
    CARD_PROSE,
    ENDPOINT_PARTS,
    FLEET_PROSE,
    READ_WHOLE_BYTES,
    checkpoint_place,
    fingerprints,
    identity,
    snapshot,
)
from orchestra.core.latency import Latency, Overhead, WholeJobs
from orchestra.fleet.source import load_fleet

LOCAL = {"worker": "orchestra.testing:ScriptedEngine", "checkpoint": "weights"}
SERVER = {"endpoint": {"url": "http://127.0.0.1:1/v1", "model": "big"}}
HOSTS = pytest.mark.parametrize("of", [LOCAL, SERVER], ids=["local", "server"])
Print = Callable[[Card], str | None]


def card(**hosting: Any) -> Card:
    return Card.model_validate(
        {
            "name": "m",
            "role": "reader",
            "capabilities": ["text"],
            "price": {"as_of": "2026-01-01"},
            "profile": {"origin": "estimated"},
            "quality": {"text": {"score": 90, "origin": "measured", "measure": "100 rows"}},
            "hosting": {"memory_gib": 1, **hosting},
            "limits": {"context_tokens": 4096},
        }
    )


def whole(path: Path) -> str | None:
    """The hash of every byte of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def exactly(model: Card, folder: Path) -> str | None:
    """The fingerprint of a reply's model, in which every byte counts."""
    found = identity(model, folder, every_byte=whole)
    return None if found is None else found.fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "weights" / "config.json").write_text("{}")
    return tmp_path


@pytest.fixture(params=["by size", "every byte"])
def printed(request: pytest.FixtureRequest, folder: Path) -> Print:
    """Either kind of fingerprint, so that what holds for one is shown for both."""
    if request.param == "every byte":
        return lambda model: exactly(model, folder)
    return lambda model: identity(model, folder).fingerprint


@pytest.mark.parametrize(
    ("of", "change"),
    [
        (LOCAL, {"worker": "orchestra.core.job:Job"}),
        (LOCAL, {"sampling": {"temperature": 0.5}}),
        (LOCAL, {"sampling": {"top_p": 0.5}}),
        (LOCAL, {"sampling": {"seed": 1}}),
        (LOCAL, {"schema_in_prompt": False}),
        (LOCAL, {"revision": "2"}),
        (SERVER, {"revision": "2"}),
        (SERVER, {"sampling": {"seed": 1}}),
        (SERVER, {"endpoint": {"url": "http://127.0.0.1:2/v1", "model": "big"}}),
        (SERVER, {"endpoint": {"url": "http://127.0.0.1:1/v1", "model": "bigger"}}),
        (SERVER, {"endpoint": {**SERVER["endpoint"], "structured": "prompt"}}),
        (SERVER, {"endpoint": {**SERVER["endpoint"], "tools": "schema"}}),
        (SERVER, {"endpoint": {**SERVER["endpoint"], "logprobs": False}}),
    ],
    ids=str,
)
def test_what_decides_answers_makes_another_model(
    printed: Print, of: dict[str, Any], change: dict[str, Any]
) -> None:
    known = printed(card(**of))
    assert known is not None
    assert printed(card(**{**of, **change})) not in (known, None)


@HOSTS
def test_room_to_think_makes_another_model(printed: Print, of: dict[str, Any]) -> None:
    thinks = Limits(context_tokens=4096, thinking_tokens=64)
    assert printed(card(**of).model_copy(update={"limits": thinks})) != printed(card(**of))


@HOSTS
@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"about": "In other words."},
        {"can": "All."},
        {"price": Price.model_validate({"as_of": "2026-11-01", "usd_per_hour": 3})},
        {"profile": Profile(origin="measured", fixed_ms=9)},
        {"latency": Latency(fixed_ms=9)},
        {"quality": {}},
        {"fallback": "other"},
        {"limits": Limits(context_tokens=8192, requests_per_minute=9)},
    ],
    ids=str,
)
def test_words_prices_speed_and_limits_make_no_other_model(
    printed: Print, of: dict[str, Any], change: dict[str, Any]
) -> None:
    model = card(**of)
    assert printed(model.model_copy(update=change)) == printed(model)


@HOSTS
def test_what_decides_only_room_and_pace_makes_no_other_model(
    printed: Print, of: dict[str, Any]
) -> None:
    wider = card(**of, max_batch=4, scaling={"replicas": 3}, cache=False)
    assert printed(wider) == printed(card(**of))


def test_a_server_that_is_waited_for_longer_is_the_same_model(printed: Print) -> None:
    patient = {"endpoint": {**SERVER["endpoint"], "timeout_s": 600, "api_key_env": "KEY"}}
    assert printed(card(**patient)) == printed(card(**SERVER))


def test_small_files_of_weights_count_by_their_content(folder: Path, printed: Print) -> None:
    known = printed(card(**LOCAL))
    weights = folder / "weights" / "model.safetensors"
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, (1, 1))
    assert printed(card(**LOCAL)) != known


def test_large_files_count_by_size_and_checksums_unless_every_byte_does(folder: Path) -> None:
    weights, model = folder / "weights" / "model.safetensors", card(**LOCAL)
    prints: list[tuple[str, str | None]] = []

    def note() -> None:
        prints.append((identity(model, folder).fingerprint, exactly(model, folder)))

    weights.write_bytes(b"a" * (READ_WHOLE_BYTES + 1))
    note()
    weights.write_bytes(b"b" * (READ_WHOLE_BYTES + 1))
    note()
    weights.write_bytes(b"b" * (READ_WHOLE_BYTES + 2))
    note()
    (folder / "weights" / "checksums.json").write_text('{"model.safetensors": "b"}')
    note()
    by_size, exact = zip(*prints, strict=True)
    assert (by_size[0] == by_size[1], len(set(by_size)), len(set(exact))) == (True, 3, 4)


def test_a_checkpoints_own_prose_and_hidden_files_count_for_nothing(
    folder: Path, printed: Print
) -> None:
    known = printed(card(**LOCAL))
    (folder / "weights" / "CARD.md").write_text("In other words.")
    (folder / "weights" / ".cache" / "download").mkdir(parents=True)
    (folder / "weights" / ".cache" / "download" / "config.json.metadata").write_text("today")
    assert printed(card(**LOCAL)) == known


def test_weights_that_are_moved_are_the_same_model(folder: Path, printed: Print) -> None:
    known = printed(card(**LOCAL))
    (folder / "weights").rename(folder / "moved")
    assert printed(card(**{**LOCAL, "checkpoint": "moved"})) == known


def test_code_and_device_count_where_every_byte_does(folder: Path) -> None:
    elsewhere = card(**LOCAL, device="cuda:0")
    assert exactly(elsewhere, folder) != exactly(card(**LOCAL), folder)
    assert identity(elsewhere, folder) == identity(card(**LOCAL), folder)
    found = identity(card(**LOCAL), folder, every_byte=whole)
    assert found is not None and found.code is not None
    assert found.code.source == whole(Path("orchestra/testing.py"))
    assert found.code.orchestra


@pytest.mark.parametrize("change", [{"checkpoint": "nowhere"}, {"worker": "no_such_module:Engine"}])
def test_a_model_that_cannot_be_read_is_known_by_name_alone(
    folder: Path, change: dict[str, Any]
) -> None:
    model = card(**{**LOCAL, **change})
    assert exactly(model, folder) is None
    assert identity(model, folder).fingerprint != identity(card(**LOCAL), folder).fingerprint


def test_a_public_checkpoint_is_known_by_its_name_until_a_folder_has_it(
    folder: Path, printed: Print
) -> None:
    model = card(**{**LOCAL, "checkpoint": "org/tiny"})
    assert checkpoint_place("org/tiny", folder) == "org/tiny"
    named = printed(model)
    assert printed(card(**{**LOCAL, "checkpoint": "org/other"})) != named
    (folder / "org").mkdir()
    (folder / "weights").rename(folder / "org" / "tiny")
    assert checkpoint_place("org/tiny", folder) == folder / "org" / "tiny"
    assert printed(model) != named


def test_the_bundled_models_are_all_different() -> None:
    file, folder = load_fleet("mini")
    assert len(set(fingerprints(file, folder).values())) == len(file.models)


# snapshot


def fleet(change: Callable[[dict[str, Any]], Any] = lambda raw: None) -> FleetFile:
    raw = {"name": "shop", "models": [card(**LOCAL).model_dump(mode="json")]}
    raw["models"][0]["latency"] = {"fixed_ms": 9}
    change(raw)
    return FleetFile.model_validate(raw)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw["models"][0]["price"].update(usd_per_hour="2"),
        lambda raw: raw["models"][0]["profile"].update(fixed_ms=1),
        lambda raw: raw["models"][0]["latency"].update(fixed_ms=1),
        lambda raw: raw["models"][0]["limits"].update(context_tokens=101),
        lambda raw: raw["models"][0]["quality"]["text"].update(score=91),
        lambda raw: raw["models"][0]["hosting"].update(revision="2"),
        lambda raw: raw["models"].append({**raw["models"][0], "name": "n"}),
        lambda raw: raw.update(machines=2),
    ],
)
def test_what_plans_depend_on_is_in_the_snapshot(change: Callable[[dict[str, Any]], Any]) -> None:
    assert snapshot(fleet(change)) != snapshot(fleet())


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.update(about="In other words.", domain="Shirts."),
        lambda raw: raw["models"][0].update(about="x", can="x", cannot="x", scores=["x"]),
        lambda raw: raw["models"][0].update(estimated=["price"]),
        lambda raw: raw["models"][0]["price"].update(as_of="2026-12-01"),
        lambda raw: raw["models"][0]["profile"].update(origin="vendor"),
        lambda raw: raw["models"][0]["latency"].update(origin="estimated"),
        lambda raw: raw["models"][0]["quality"]["text"].update(origin="vendor", measure="x"),
    ],
)
def test_words_and_sources_of_figures_are_not(change: Callable[[dict[str, Any]], Any]) -> None:
    assert snapshot(fleet(change)) == snapshot(fleet())


def test_a_copy_of_a_fleet_has_a_snapshot_of_its_own() -> None:
    one = fleet()
    assert snapshot(one) == snapshot(fleet())
    assert snapshot(one.model_copy(update={"machines": 2})) != snapshot(one)


# Each key of a fleet's file decides answers, or only plans, or nothing. A new one belongs in one of
# these, and in `orchestra/core/identity.py` if it decides answers or is prose.
DECIDES: dict[type[BaseModel], set[str]] = {
    Card: {"classifies"},
    Hosting: {"worker", "checkpoint", "device", "sampling", "schema_in_prompt", "revision"}
    | {"endpoint"},
    Endpoint: ENDPOINT_PARTS,
    Limits: {"thinking_tokens"},
    Sampling: {"temperature", "top_p", "seed"},
}
PLANS: dict[type[BaseModel], set[str]] = {
    FleetFile: {"name", "models", "overhead", "whole_jobs", "machines"},
    Card: {"name", "role", "capabilities", "price", "profile", "latency", "hosting", "limits"}
    | {"quality", "data_goes_to", "fallback", "suits", "answers", "reads", "settles"},
    Hosting: {"memory_gib", "max_batch", "cache", "scaling"},
    Endpoint: {"api_key_env", "connect_timeout_s", "timeout_s", "attempts", "failures_in_row"}
    | {"rest_s"},
    Limits: {"context_tokens", "image_tokens", "max_images", "requests_per_minute"}
    | {"tokens_per_minute"},
    Sampling: set(),
}
PROSE: dict[type[BaseModel], set[str]] = {
    FleetFile: {key for key, part in FLEET_PROSE.items() if part is True},
    Card: {key for key, part in CARD_PROSE.items() if part is True},
    Price: set(CARD_PROSE["price"]),
    Profile: set(CARD_PROSE["profile"]),
    Latency: set(CARD_PROSE["latency"]),
    Quality: set(CARD_PROSE["quality"]["__all__"]),
    Overhead: set(FLEET_PROSE["overhead"]),
    WholeJobs: set(FLEET_PROSE["whole_jobs"]),
}


@pytest.mark.parametrize("words", PLANS, ids=lambda words: words.__name__)
def test_every_key_of_a_card_decides_answers_or_plans_or_is_prose(words: type[BaseModel]) -> None:
    sorts = [DECIDES.get(words, set()), PLANS[words], PROSE.get(words, set())]
    assert sum(map(len, sorts)) == len(set().union(*sorts))
    assert set().union(*sorts) == set(words.model_fields)


@pytest.mark.parametrize("words", PROSE, ids=lambda words: words.__name__)
def test_what_is_called_prose_is_there(words: type[BaseModel]) -> None:
    assert PROSE[words] <= set(words.model_fields)
