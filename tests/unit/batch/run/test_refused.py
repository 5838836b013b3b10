"""What each row would meet pauses the batch at its first rows: a refused key, a refused choice."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from graphs.answer import build
from orchestra.app import Fleet
from orchestra.batch.output.summary import Summary
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import BatchPaused
from tests.servers.failing_servers import ModelServer
from tests.servers.fake_server import Said, chat, endpoint_card, failing, serving

ANSWER = chat('{"answer": "Lot"}')


def table(folder: Path) -> Path:
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "name"], *([f"A{n}", f"Lot {n}"] for n in range(24))])
    return path


async def run(card: Card, source: Path) -> Summary:
    async with Fleet(FleetFile(name="far", models=(card,)), source.parent) as fleet:
        return await fleet.batch(
            build,
            source,
            out=source.parent / "out",
            text_columns=["name"],
            in_flight=4,
            yes=True,
            probe_delays_s=(0.0, 0.0),
        )


@pytest.mark.parametrize(
    ("said", "endpoint", "words"),
    [
        (failing(403, "Project p1 does not have access to model tiny"), {}, "access to the model"),
        (failing(401, "Incorrect API key provided"), {}, "api_key_env"),
        (failing(404, "The model tiny does not exist"), {}, "models: 'tiny'"),
        (failing(400, "response_format is unknown"), {"structured": "json_schema"}, "structured="),
    ],
)
async def test_what_each_row_would_meet_fails_none_of_them(
    said: Said, endpoint: dict[str, Any], words: str, tmp_path: Path
) -> None:
    source = table(tmp_path)
    with serving(said) as server:
        card = endpoint_card(server.url, endpoint=endpoint)
        with pytest.raises(BatchPaused, match="24 rows wait, none of them failed") as paused:
            await run(card, source)
        assert words in str(paused.value)
        assert len(server.asked) < 24
        server.script[:] = [ANSWER]
        summary = await run(card, source)
    assert (summary.complete, summary.failed) == (24, 0)


async def test_a_firewall_that_blocks_the_words_of_one_row_fails_that_row(tmp_path: Path) -> None:
    source, server = table(tmp_path), ModelServer(poison=("Lot 7",), status=403)
    with server.serving() as url:
        summary = await run(endpoint_card(url), source)
    assert (summary.rows, summary.failed) == (24, 1)
