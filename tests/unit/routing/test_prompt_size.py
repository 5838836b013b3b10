"""A ceiling of a prompt holds for what is sent: a budget is reserved by it."""

from __future__ import annotations

import json

import pytest

from graphs.listing import build
from orchestra.clients.endpoint_schema import public_schema
from orchestra.core.schema import narrow
from orchestra.fleet.source import load_fleet
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.prompt_size import RULES_BYTES, added_bytes

CARD = load_fleet("mini")[0].card("r1")
READER = CARD.model_copy(
    update={"hosting": CARD.hosting.model_copy(update={"schema_in_prompt": True})}
)
TEXTS = (
    "x",
    "red",
    "A red apple from Italy.",
    "5 cm",
    "Red, blue, green. 5 cm x 7 cm x 9 cm, 3 kg. Cotton! Made in Spain? " * 9,
    "红色的苹果，产自意大利。重量 2 kg。",
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("node", ["read", "look"])
def test_a_schema_narrowed_to_a_text_is_within_its_ceiling(node: str, text: str) -> None:
    schema = view(compile_graph(build)).asks[node].schema_json
    assert schema is not None
    sent = json.dumps(public_schema(narrow(schema, text)), ensure_ascii=False).encode()
    assert len(sent) <= added_bytes(READER, schema, len(text.encode())) - RULES_BYTES
