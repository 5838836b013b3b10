"""Writes what was learnt to a folder and reads it back: safetensors, JSON and the rows; no pickle.

The rows belong to it: what strings are values, and how texts near a new one were read, is asked of
them. `checksums.json` tells a damaged folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from orchestra.core.errors import CheckpointInvalid
from workers.choice.fitted import FittedOptions
from workers.tagging.chooser import LabelChooser
from workers.tagging.emission import Emission
from workers.tagging.gazetteer import Gazetteer
from workers.tagging.inputs import LabelledWords
from workers.tagging.neural import StateTagger
from workers.tagging.ranker import Ranker
from workers.tagging.reader import TaughtReader
from workers.tagging.rows import tagged_row
from workers.tagging.spans import ChainPlace, SpanModel
from workers.tagging.strings import Strings
from workers.tagging.tagger import Tagger

FORMAT = 2
CONFIG, ARRAYS, ROWS, SUMS = "config.json", "model.safetensors", "rows.jsonl", "checksums.json"
RESTORE = "Restore the folder, or run `orchestra finetune` again."
RANKER = ("mean", "spread", "layer", "bias", "output", "shortcut", "shift")
STATES = ("mean", "spread", "layer", "bias", "output", "shift")
CHOICES = "choices"  # the folder that has one for each choice
Arrays = dict[str, np.ndarray]


def save(reader: TaughtReader, folder: Path) -> None:
    """Write a reader; what stood in `folder` under these names is replaced."""
    arrays: Arrays = {}
    config: dict[str, Any] = {"format": FORMAT, "choices": {}}
    tagger = reader.tagger
    if tagger is not None:
        config["tagger"] = _tagger_out(tagger, arrays)
        with (folder / ROWS).open("w", encoding="utf-8") as file:
            for row in tagger.strings.rows:
                line = {"text": row.text, "group": row.group, "values": row.values}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    shutil.rmtree(folder / CHOICES, ignore_errors=True)
    for at, (name, chooser) in enumerate(reader.choosers.items()):
        config["choices"][name] = _chooser_out(chooser, folder, f"{CHOICES}/{at}")
    if reader.groups is not None:
        config["groups"] = _chooser_out(reader.groups, folder, f"{CHOICES}/groups")
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / ARRAYS)
    text = json.dumps(config, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    kept = [name for name in (CONFIG, ARRAYS, ROWS) if (folder / name).is_file()]
    kept += sorted(
        path.relative_to(folder).as_posix()
        for path in (folder / CHOICES).rglob("*")
        if path.is_file()
    )
    sums = {name: _sha256(folder / name) for name in kept}
    (folder / SUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> TaughtReader:
    """Read it back. Raises `CheckpointInvalid` for a folder that is not whole."""
    try:
        sums = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        for name, expected in sums.items():
            if _sha256(_inside(folder, name)) != expected:
                raise CheckpointInvalid(
                    f"{str(folder / name)!r} is not what checksums.json says. {RESTORE}"
                )
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config.get("format") != FORMAT:
            raise CheckpointInvalid(
                f"{str(folder)!r} has the format {config.get('format')!r}, and this release reads "
                f"{FORMAT!r}. {RESTORE}"
            )
        arrays = load_file(folder / ARRAYS)
        tagger = _tagger_in(config["tagger"], arrays, folder) if "tagger" in config else None
        choosers = {name: _chooser_in(raw, folder) for name, raw in config["choices"].items()}
        raw = config.get("groups")
        groups = None if raw is None else _chooser_in(raw, folder)
        return TaughtReader(tagger, choosers, groups)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointInvalid(
            f"{str(folder)!r} holds no whole tagger: {error!r}. {RESTORE}"
        ) from error


def _tagger_out(tagger: Tagger, arrays: Arrays) -> dict[str, Any]:
    emission = tagger.spans.emission
    arrays |= {"starts": emission.starts, "columns": emission.columns,
               "weights": emission.weights, "levels": tagger.levels}  # fmt: skip
    for at, ranker in enumerate(tagger.rankers):
        arrays |= {f"ranker.{at}.{part}": getattr(ranker, part) for part in RANKER}

    if tagger.states is not None:
        arrays |= {f"states.{part}": getattr(tagger.states, part) for part in STATES}
        arrays["states.counts"] = tagger.states.known.counts

    def places(found: Mapping[str, ChainPlace], kind: str) -> dict[str, Any]:
        for at, place in enumerate(found.values()):
            arrays[f"{kind}.{at}"] = place.transition
        return {name: {"fields": p.fields, "column": p.column} for name, p in found.items()}

    return {
        "features": list(emission.features),
        "width": emission.width,
        "groups": tagger.spans.groups,
        "joint": places(tagger.spans.joint, "joint"),
        "single": places(tagger.spans.single, "single"),
        "states": None if tagger.states is None else list(tagger.states.known.words),
        "rankers": len(tagger.rankers),
        "threshold": tagger.threshold,
        "lists": sorted(tagger.lists),
    }


def _tagger_in(raw: Mapping[str, Any], arrays: Arrays, folder: Path) -> Tagger:
    lines = (folder / ROWS).read_text(encoding="utf-8").split("\n")
    told = [json.loads(line) for line in lines if line]
    rows = [tagged_row(one["text"], one["group"], one["values"]) for one in told]
    features = {name: at for at, name in enumerate(raw["features"])}
    emission = Emission(
        features, arrays["starts"], arrays["columns"], arrays["weights"], raw["width"]
    )

    def places(kind: str) -> dict[str, ChainPlace]:
        return {
            name: ChainPlace(one["fields"], one["column"], arrays[f"{kind}.{at}"])
            for at, (name, one) in enumerate(raw[kind].items())
        }

    spans = SpanModel(Gazetteer(rows), emission, raw["groups"], places("joint"), places("single"))
    rankers = [Ranker(*(arrays[f"ranker.{at}.{part}"] for part in RANKER))
               for at in range(raw["rankers"])]  # fmt: skip
    lists = frozenset(raw["lists"])
    states = None
    if raw["states"] is not None:
        words = {word: at for at, word in enumerate(raw["states"])}
        fields = sorted({name for names in raw["groups"].values() for name in names})
        known = LabelledWords(fields, raw["groups"], words, arrays["states.counts"])
        states = StateTagger(known, *(arrays[f"states.{part}"] for part in STATES))
    return Tagger(spans, states, Strings(rows), rankers, arrays["levels"], raw["threshold"], lists)


def _chooser_out(chooser: LabelChooser, folder: Path, place: str) -> dict[str, Any]:
    chooser.fitted.save(folder / place)
    return {"folder": place, "has_none": chooser.has_none}


def _chooser_in(raw: Mapping[str, Any], folder: Path) -> LabelChooser:
    return LabelChooser(FittedOptions.load(_inside(folder, raw["folder"])), raw["has_none"])


def _inside(folder: Path, name: str) -> Path:
    """The path of `name`, which a damaged file may not have lead elsewhere."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} leads out of the folder")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
