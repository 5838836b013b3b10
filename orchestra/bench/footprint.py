"""How much memory a hosted model takes, measured in a process that holds nothing else.

python -m orchestra.bench.footprint FLEET MODEL
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.app import Fleet
from orchestra.core.card import Card
from orchestra.core.errors import ModelUnavailable, OrchestraError
from orchestra.fleet.check import first_question

WAIT_S = 600
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory in MiB: of the process before the model, with it loaded and used, and at the most."""

    before_mib: float
    after_mib: float
    peak_mib: float


def footprint(fleet: str, model: str) -> Footprint:
    """Load `model` in a process of its own, ask it once, and read the process's memory.

    Raises `ModelUnavailable` with what the process said when it did not end well.
    """
    command = [sys.executable, "-m", "orchestra.bench.footprint", fleet, model]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ModelUnavailable(
            f"The model {model!r} did not load and answer in {WAIT_S} s. Free the machine."
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ModelUnavailable(
            f"The process that measures {model!r} ended with {done.returncode}: {lines[-1]}"
        )
    return Footprint(**json.loads(done.stdout.splitlines()[-1]))


def size_bytes(card: Card, folder: Path) -> int | None:
    """Bytes of a checkpoint's files; None when the model has none here."""
    if card.hosting.checkpoint is None:
        return None
    place = folder / card.hosting.checkpoint
    if not place.is_dir():
        return None
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def resident_mib() -> float:
    """Resident memory of this process now, as Linux tells it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


async def _measure(fleet: str, model: str) -> Footprint:
    async with Fleet.open(fleet) as opened:
        before = resident_mib()
        client = opened.client(model)
        await client.prepare()
        try:
            await client.complete(first_question(opened.file.card(model)))
        except OrchestraError as error:
            print(f"{error.kind}: {error}", file=sys.stderr)  # it is loaded all the same
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return Footprint(round(before, 1), round(resident_mib(), 1), round(peak, 1))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_measure(sys.argv[1], sys.argv[2])))))
