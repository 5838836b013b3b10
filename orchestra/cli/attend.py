"""`orchestra attend`: where a model looks in a photo for its answer, in numbers and a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from orchestra.app import Fleet
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, fleet_option
from orchestra.clients.attention import attend, question_call, taken_in
from orchestra.core.errors import UsageError
from orchestra.images.attention import AttentionMap

EPILOG = """\b
Examples:
  orchestra attend photo.jpg "What colour is it?" --out map.png
  orchestra attend photo.jpg "What is this?" --method raw --json
"""


@command("attend", EPILOG)
@click.argument("photo")
@click.argument("question")
@fleet_option
@click.option("--model", help="Model of the fleet (default: the first that looks at photos).")
@click.option("--method", help="refined (default), gradient, raw, relevancy or occlusion.")
@click.option("--out", type=PATH, help="Write the map over the photo: PNG.")
def attend_command(
    photo: str, question: str, fleet: str, model: str | None, method: str | None, out: Path | None
) -> Output:
    """Ask QUESTION about PHOTO and show which part of it the answer rests on."""
    seen = asyncio.run(_attend(photo, question, fleet, model, method))
    if out is not None:
        _save(seen, out)
    return Output(seen.public() | ({} if out is None else {"out": str(out)}), _lines(seen, out))


async def _attend(
    photo: str, question: str, name: str, model: str | None, method: str | None
) -> AttentionMap:
    picture, size = taken_in(photo)
    async with Fleet.open(name) as fleet:
        chosen = model or _first_that_looks(fleet)
        maps = await attend(fleet.client(chosen), chosen, question_call(question, picture), method)
    return replace(maps[0], size=size)


def _first_that_looks(fleet: Fleet) -> str:
    for card in fleet.file.models:
        if card.sees and card.hosting.worker is not None:
            return card.name
    raise UsageError(
        f"The fleet {fleet.name!r} has no model in this process that takes photos. Name one of "
        "another fleet: --fleet mini --model vl"
    )


def _save(seen: AttentionMap, out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {str(out)!r} is not a PNG file. Give it a name that ends in .png.")
    try:
        seen.save(out)
    except OSError as cause:
        raise UsageError(
            f"{str(out)!r} cannot be written: {cause.strerror}. Give --out a folder that is there."
        ) from cause


def _lines(seen: AttentionMap, out: Path | None) -> Iterator[str]:
    sure = "" if seen.confidence is None else f" {seen.confidence:.2f}"
    left, top, right, bottom = seen.box
    wide, high = seen.size
    yield f"answer  {seen.value}{sure}"
    if seen.refused is not None:
        yield f"note    not given as an answer: {seen.refused}"
    yield f"region  x {left}-{right}, y {top}-{bottom} of {wide} x {high} pixels"
    yield f"peak    x {seen.peak[0]}, y {seen.peak[1]}"
    yield f"method  {seen.method}, {seen.rows} x {seen.columns} cells"
    if seen.on_padding > 0.25:
        yield f"note    {seen.on_padding:.0%} of the weight lies beside the photo"
    for token in seen.tokens:
        yield f"token   {token.text!r} {token.probability:.2f}"
    if out is not None:
        yield f"map     {out}"
