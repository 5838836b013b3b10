"""`VisualAttentionMapper`: loads a vision-language model by name and maps where it looks.

The names are the article's. It finds models as fleets do, and knows none of their classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Self, cast

from PIL import Image

from orchestra.clients.attention import Attends, attending, question_call, taken_in
from orchestra.core.card import Card
from orchestra.core.errors import InvalidFleet, UsageError
from orchestra.fleet.local import local_client
from orchestra.fleet.source import load_fleet, load_worker
from orchestra.images.attention import AttentionMap
from workers.attention.methods import DEFAULT

ENGINE = "workers.engine:TransformersEngine"


class VisualAttentionMapper:
    """Maps of one model. Not thread-safe, as its engine is not."""

    def __init__(self, engine: Attends, name: str = "") -> None:
        self._engine = engine
        self.name = name

    @classmethod
    def load(cls, name: str | Path, *, threads: int | None = None) -> Self:
        """Load a model: `fleet/model`, a checkpoint folder, a fleet file, or `file.yaml/model`.

        A fleet or file without a model's name means its first model that looks at photos. What is
        neither is taken for a public checkpoint, `organisation/name`. Raises InvalidFleet,
        CheckpointInvalid, and UsageError for a model that gives no maps.
        """
        fleet, _, model = str(name).rpartition("/")
        if (Path(name) / "config.json").is_file():
            engine = load_worker(ENGINE).load(Path(name), threads=threads)
        elif str(name).endswith((".yaml", ".yml")) or str(name) in _fleets():
            engine = _engine_of(str(name), None, threads)
        elif fleet.endswith((".yaml", ".yml")) or fleet in _fleets():
            engine = _engine_of(fleet, model, threads)
        else:
            engine = load_worker(ENGINE).load(str(name), threads=threads)
        return cls(attending(engine, str(name)), str(name))

    def generate_attention(
        self,
        image_path: str | Path | Image.Image,
        question: str,
        *,
        method: str = DEFAULT,
        schema: Mapping[str, Any] | None = None,
        field: str | None = None,
    ) -> AttentionMap:
        """Where the model looks in a photo for its answer to `question`.

        The answer is held to `schema`, by default a text that may be null, as graph `answer` asks
        for it. `field` picks a key of the schema, the first by default. Raises UsageError for an
        unknown method or field, an `ImageError`, and what the engine raises.
        """
        maps = self.generate_maps(image_path, question, method=method, schema=schema)
        if not maps:
            raise UsageError(
                f"The schema left the model no choice about the answer to {question!r}, so nothing "
                "in the photo decided it. Give the key more than one value."
            )
        if field is None:
            return next(iter(maps.values()))
        if field not in maps:
            raise UsageError(
                f"The answer has no map for the key {field!r} (it has: {', '.join(maps)})."
            )
        return maps[field]

    def generate_maps(
        self,
        image_path: str | Path | Image.Image,
        question: str,
        *,
        method: str = DEFAULT,
        schema: Mapping[str, Any] | None = None,
    ) -> dict[str, AttentionMap]:
        """A map for each key of the answer that the model had a choice about."""
        source = str(image_path) if isinstance(image_path, Path) else image_path
        photo, size = taken_in(source)
        found = self._engine.attend(question_call(question, photo, schema), method)
        return {each.name: replace(each, size=size) for each in found}


def _fleets() -> set[str]:
    return {point.name for point in metadata.entry_points(group="orchestra.fleets")}


def _engine_of(name: str, model: str | None, threads: int | None) -> Any:
    file, folder = load_fleet(name)
    if model is not None:
        card = file.card(model)
    else:
        card = next((card for card in file.models if _looks(card)), None)
    if card is None:
        raise InvalidFleet(
            f"The fleet {name!r} has no model here that takes photos (its models: "
            f"{', '.join(card.name for card in file.models)}). Name one: {name + '/MODEL'!r}."
        )
    return cast(Any, local_client(card, folder, threads=threads or 1).load_engine())


def _looks(card: Card) -> bool:
    return card.sees and card.hosting.worker is not None
