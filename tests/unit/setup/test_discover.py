"""What is found on a machine, and the fleet that is drafted of it, against scripted servers."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import pytest
import yaml

from orchestra.core.card import parse_fleet
from orchestra.core.errors import AccessRefused, InvalidSchema, ModelUnavailable, UsageError
from orchestra.setup.discover import PROVIDERS, Listed, Server, listed_models, look_around
from orchestra.setup.draft import choose, draft_cards, fleet_text
from orchestra.setup.handshake import HANDSHAKE, THINKING_TOKENS, settle_on
from tests.servers.fake_server import Said, chat, failing, serving

FAR = "https://api.example.com/v1"


def server(*names: str, url: str = FAR, **changes: Any) -> Server:
    return Server("s", url, models=tuple(Listed(name) for name in names), **changes)


def no_server() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


async def test_servers_and_keys_that_are_there_are_found_and_the_others_named() -> None:
    with serving() as here:
        places = (("here", here.url), ("gone", no_server()))
        found = await look_around({"OPENAI_API_KEY": "sk-x", "MISTRAL_API_KEY": " "}, places)
    local, remote = found.servers
    assert (local.name, local.is_local, [m.name for m in local.models]) == ("here", True, ["tiny"])
    assert (remote.name, remote.is_local, remote.models) == ("openai", False, ())
    assert any(name.startswith("gone at") for name in found.missing)
    assert "MISTRAL_API_KEY" in found.missing and "OPENAI_API_KEY" not in found.missing
    assert "sk-x" not in repr(found)


async def test_a_list_tells_context_prices_and_sight_where_the_server_does() -> None:
    entries = [
        {"id": "a", "max_model_len": 4096},
        {
            "id": "b",
            "context_length": 8000,
            "pricing": {"prompt": "0.00000025", "completion": "0.000001"},
            "architecture": {"input_modalities": ["text", "image"]},
        },
        {"id": "c", "pricing": {"prompt": "-1", "completion": "-1"}},
    ]
    with serving() as here:
        here.models = Said({"data": entries})
        first, second, third = await listed_models(here.url)
    assert (first.context_tokens, first.sees) == (4096, None)
    assert (second.input_price, second.output_price, second.takes_photos) == ("0.25", "1", True)
    assert third.input_price is None


async def test_a_server_that_refuses_or_is_not_there_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_KEY_HERE", raising=False)
    with serving() as here:
        here.models = failing(401, "no")
        with pytest.raises(AccessRefused, match="--key-env"):
            await listed_models(here.url)
        with pytest.raises(AccessRefused, match="export NO_KEY_HERE"):
            await listed_models(here.url, "NO_KEY_HERE")
        here.models = failing(403, "Country, region, or territory not supported")
        with pytest.raises(AccessRefused, match="does not serve this place") as caught:
            await listed_models(here.url)
        assert "--key-env" not in str(caught.value)
    with pytest.raises(ModelUnavailable, match="does not answer"):
        await listed_models(no_server())


async def test_a_key_that_may_call_and_not_list_is_no_refused_key() -> None:
    said = "You have insufficient permissions for this operation. Missing scopes: api.model.read"
    with serving() as here:
        here.models = failing(403, said)
        assert await listed_models(here.url) == ()


def test_the_model_is_the_users_or_the_known_small_one_or_asked_for() -> None:
    assert choose(server("big", "small", preferred=("small",))).text.name == "small"
    assert choose(server("big", "small"), "big").text.name == "big"
    assert choose(server("only")).text.name == "only"
    with pytest.raises(UsageError, match=r"--model NAME \(big, small\)"):
        choose(server("big", "small", "text-embedding-3"))
    with pytest.raises(UsageError, match="lists no model 'none'"):
        choose(server("big"), "none")


def test_a_server_of_this_machine_is_taken_as_it_comes_with_its_vision_model() -> None:
    here = server("qwen2.5-vl:7b", "llama3", "nomic-embed-text", url="http://localhost:9/v1")
    choice = choose(here)
    assert (choice.text.name, choice.vision and choice.vision.name) == ("llama3", "qwen2.5-vl:7b")
    assert choose(here, vision="llama3").vision == Listed("llama3")


def test_a_draft_is_a_fleet_that_says_what_was_guessed_and_holds_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    cards = draft_cards(choose(server("gpt-4o", key_env="SOME_KEY")))
    text = fleet_text(cards, "mine", ["a note"])
    file = parse_fleet(yaml.safe_load(text), origin="draft")
    assert [card.name for card in file.models] == ["text", "vision", "r1", "vl"]
    first = file.models[0]
    assert (first.data_goes_to, first.fallback) == ("api.example.com", "r1")
    assert first.hosting.endpoint and first.hosting.endpoint.api_key_env == "SOME_KEY"
    assert {"limits", "profile", "quality"} == set(first.estimated)
    assert first.price.unknown and "price: unknown" in text
    assert "sk-secret" not in text and "# a note" in text


def test_a_local_draft_keeps_data_here_and_costs_nothing() -> None:
    cards = draft_cards(choose(server("m", url="http://127.0.0.1:9/v1")))
    first = cards[0]
    assert first.data_goes_to == "local" and not first.price.is_paid
    text = fleet_text(cards, "mine", [])
    assert "price: free" in text
    assert parse_fleet(yaml.safe_load(text), origin="draft").models[0].price == first.price


def test_half_a_price_is_an_unknown_one_and_nothing_at_all_a_free_one() -> None:
    far = server("gpt-4o")
    half = draft_cards(replace(choose(far), input_price="0.3"))[0]
    assert half.price.unknown
    free = draft_cards(replace(choose(far), input_price="0", output_price="0"))[0]
    text = fleet_text([free.model_copy(update={"fallback": None})], "mine", [])
    assert not parse_fleet(yaml.safe_load(text), origin="draft").models[0].price.is_paid


GOOD = '{"c1":"red"}'


@pytest.mark.parametrize(
    ("script", "structured", "logprobs"),
    [
        ((chat(GOOD),), "json_schema", False),
        (
            (chat(GOOD, logprobs=[{"token": GOOD, "logprob": -0.1}]),),
            "json_schema",
            True,
        ),
        ((failing(400, "logprobs are not here"), chat(GOOD)), "json_schema", False),
        ((failing(400, "response_format unknown"), chat(GOOD)), "json_object", False),
        ((chat("red"), chat('{"colour":"red"}'), chat(f"So: {GOOD}")), "prompt", False),
    ],
)
async def test_the_way_of_asking_is_what_the_server_can(
    script: tuple[Said, ...], structured: str, logprobs: bool
) -> None:
    with serving(*script) as here:
        cards = draft_cards(choose(server("m", url=here.url)))
        settled, _ = await settle_on(cards)
    endpoint = settled[0].hosting.endpoint
    assert endpoint is not None
    assert (endpoint.structured, endpoint.logprobs) == (structured, logprobs)
    assert settled[1:] == cards[1:]


async def test_a_model_that_takes_only_temperature_1_gets_it() -> None:
    refused = failing(400, "Unsupported value: 'temperature' does not support 0")
    with serving(refused, chat(GOOD)) as here:
        settled, _ = await settle_on(draft_cards(choose(server("m", url=here.url))))
        assert [body["temperature"] for body in here.asked] == [0, 1]
    assert [card.hosting.sampling.temperature for card in settled] == [1, 0, 0]


THOUGHT = chat(GOOD, message={"reasoning_content": "red, surely"})
HIDDEN = chat(GOOD, usage={"prompt_tokens": 10, "completion_tokens": 300})
CUT = chat("", finish="length", message={"reasoning_content": "is it red"})


@pytest.mark.parametrize("script", [(THOUGHT,), (HIDDEN,), (CUT, chat(GOOD))])
async def test_a_model_that_is_seen_to_think_gets_room_and_time_for_it(
    script: tuple[Said, ...],
) -> None:
    with serving(*script) as here:
        settled, _ = await settle_on(draft_cards(choose(server("m", url=here.url))))
        asked = [body["max_tokens"] for body in here.asked]
    first = settled[0]
    assert first.limits.thinking_tokens == THINKING_TOKENS
    assert first.hosting.endpoint is not None and first.hosting.endpoint.timeout_s == 300
    assert all(card.limits.thinking_tokens == 0 for card in settled[1:])
    assert asked[0] == HANDSHAKE.max_tokens
    if script[0] is CUT:
        assert asked[1:] == [HANDSHAKE.max_tokens + THINKING_TOKENS]


def test_a_model_that_is_known_to_think_is_drafted_with_room_within_its_context() -> None:
    for name in (
        "deepseek-r1:7b",
        "deepseek-reasoner",
        "o3-mini",
        "openai/gpt-6-luna",
        "qwq",
        "deepseek-flash",
    ):
        assert Listed(name).thinks_first, name
    for name in ("gpt-4o-mini", "deepseek-chat", "llama3", "gemma-3", "mistral-small-2501"):
        assert not Listed(name).thinks_first, name
    small = Listed("deepseek-r1:1.5b", context_tokens=2048)
    first = draft_cards(choose(Server("s", "http://127.0.0.1:9/v1", models=(small,))))[0]
    assert first.limits.thinking_tokens == 1024
    assert "limits.thinking_tokens" in first.estimated
    told = Listed("deepseek-r1:1.5b", thinks=False)
    assert not draft_cards(choose(Server("s", FAR, models=(told,))))[0].limits.thinking_tokens


async def test_a_model_that_answers_no_way_is_refused() -> None:
    with serving(chat("red")) as here:
        with pytest.raises(InvalidSchema, match="stronger model"):
            await settle_on(draft_cards(choose(server("m", url=here.url))))
        assert len(here.asked) == 3


def test_providers_are_told_apart_and_reached_safely() -> None:
    assert len({p.key_env for p in PROVIDERS}) == len({p.name for p in PROVIDERS}) == len(PROVIDERS)
    assert all(provider.url.startswith("https://") for provider in PROVIDERS)
