"""`orchestra attend`: where a model looks in a photo for its answer, in numbers and a picture."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import click

from orchestra.app import Fleet
from orchestra.cli.options import fail, fleet_option, json_option, print_json
from orchestra.clients.attention import attend as attend_call
from orchestra.clients.attention import question_call, taken_in
from orchestra.core.errors import OrchestraError, UsageError
from orchestra.images.attention import AttentionMap

EPILOG = """\b
Examples:
  orchestra attend photo.jpg "What colour is it?" --out map.png
  orchestra attend photo.jpg "What is this?" --method raw --json
"""


@click.command(epilog=EPILOG)
@click.argument("photo")
@click.argument("question")
@fleet_option
@click.option("--model", help="Model of the fleet (default: the first that looks at photos).")
@click.option("--method", help="refined (default), gradient, raw, relevancy or occlusion.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the map over the photo: PNG.")
@json_option
def attend(
    photo: str,
    question: str,
    fleet: str,
    model: str | None,
    method: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask QUESTION about PHOTO and show which part of it the answer rests on."""
    try:
        found = asyncio.run(_attend(photo, question, fleet, model, method))
        if out is not None:
            _save(found, out)
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(found.public() | ({} if out is None else {"out": str(out)}))
    else:
        _print(found, out)


async def _attend(
    photo: str, question: str, name: str, model: str | None, method: str | None
) -> AttentionMap:
    picture, size = taken_in(photo)
    async with Fleet.open(name) as fleet:
        chosen = model or _first_that_looks(fleet)
        maps = await attend_call(
            fleet.client(chosen), chosen, question_call(question, picture), method
        )
    return replace(maps[0], size=size)


def _first_that_looks(fleet: Fleet) -> str:
    for card in fleet.file.models:
        if "vision" in card.capabilities and card.hosting.worker is not None:
            return card.name
    raise UsageError(
        f"The fleet {fleet.name!r} has no model in this process that takes photos. Name one of "
        "another fleet: --fleet mini --model vl"
    )


def _save(found: AttentionMap, out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {str(out)!r} is not a PNG file. Give it a name that ends in .png.")
    try:
        found.save(out)
    except OSError as cause:
        raise UsageError(
            f"{str(out)!r} cannot be written: {cause.strerror}. Give --out a folder that is there."
        ) from cause


def _print(found: AttentionMap, out: Path | None) -> None:
    sure = "" if found.confidence is None else f" {found.confidence:.2f}"
    left, top, right, bottom = found.box
    wide, high = found.size
    click.echo(f"answer  {found.value}{sure}")
    if found.refused is not None:
        click.echo(f"note    not given as an answer: {found.refused}")
    click.echo(f"region  x {left}-{right}, y {top}-{bottom} of {wide} x {high} pixels")
    click.echo(f"peak    x {found.peak[0]}, y {found.peak[1]}")
    click.echo(f"method  {found.method}, {found.rows} x {found.columns} cells")
    if found.on_padding > 0.25:
        click.echo(f"note    {found.on_padding:.0%} of the weight lies beside the photo")
    for token in found.tokens:
        click.echo(f"token   {token.text!r} {token.probability:.2f}")
    if out is not None:
        click.echo(f"map     {out}")
