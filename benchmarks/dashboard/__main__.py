"""Pictures of the dashboard from a service under load, as a real Prometheus saw it.

    python -m benchmarks.dashboard --out docs/images

A service with the bundled models answers jobs and chats (tests/observed/service.py), at a load
that rises and falls; `docs/images/dashboard-*.png` are drawn from what Prometheus has of it.
Prints what was asked and answered. Needs Debian's packages prometheus and chromium.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.dashboard.picture import Line, legend, page
from graphs.answer import build as answer
from graphs.listing import build as listing
from orchestra.app import Fleet
from orchestra.book.shared.member import LedgerMember
from orchestra.book.shared.server import LedgerServer
from orchestra.observe import metrics
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.browser import chromium
from tests.observed.prometheus import MISSING, Panel, Prometheus, has_prometheus, panels, prometheus
from tests.observed.service import ask_all, served_here

PHASES = ((20, 1), (25, 8), (25, 32), (20, 4))  # seconds, requests at once
WINDOW, STEP_S = "10s", 1
PICTURES = {"answers": ("Answers", "Models"), "load": ("Load", "Money")}


def main() -> None:
    """Run the load, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    if not has_prometheus():
        raise SystemExit(MISSING)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), given.out)


def measure(folder: Path, out: Path) -> None:
    """Serve, ask, and draw what Prometheus has of it."""
    keeper = LedgerServer(folder / "book.sqlite")
    ledger = LedgerMember(keeper, metrics.exposition)
    fleet = Fleet.open("mini", cache=folder / "cache", ledger=ledger)
    service = Service(fleet, {"answer": answer, "listing": listing}, ledger=ledger)
    with served_here(make_app(service)) as address, prometheus(folder, address) as server:
        server.wait_for('up{job="orchestra"} == 1')
        ask_all(address, 8, 4)  # the models load
        began = time.time()
        statuses = _load(address)
        time.sleep(2 * STEP_S)
        told = f"{sum(statuses.values())} requests in {time.time() - began:.0f} s"
        drawn = [(panel, _lines(server, panel, began, time.time())) for panel in panels(WINDOW)]
    with fleet:
        """Close it."""
    keeper.close()
    print(json.dumps({"asked": sum(statuses.values()), "statuses": statuses}))
    about = f"{told} of the bundled models on two cores: 1, 8, 32, then 4 at once"
    _draw(drawn, about, out)


def _load(address: str) -> dict[int, int]:
    """The statuses of the whole load, by how often they came."""
    statuses: Counter[int] = Counter()
    number = 8
    for seconds, at_once in PHASES:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            count = 4 * at_once
            statuses.update(ask_all(address, count, at_once, number))
            number += count
    return dict(statuses)


def _lines(server: Prometheus, panel: Panel, began: float, ended: float) -> list[Line]:
    lines: list[Line] = []
    for expression, pattern in panel.targets:
        found = server.ask("query_range", query=expression, start=began, end=ended, step=STEP_S)[
            "result"
        ]
        for series in found:
            points = [(at - began, float(value)) for at, value in series["values"]]
            kept = tuple(point for point in points if math.isfinite(point[1]))
            if kept:
                lines.append(Line(legend(pattern, series["metric"]), kept))
    return lines


def _draw(drawn: Sequence[tuple[Panel, Sequence[Line]]], about: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name, rows in PICTURES.items():
            view = browser.new_page(viewport={"width": 1440, "height": 400})
            part = [each for each in drawn if each[0].row in rows]
            view.set_content(page("Orchestra", about, part))
            view.screenshot(path=str(out / f"dashboard-{name}.png"), full_page=True)
            print(out / f"dashboard-{name}.png")


if __name__ == "__main__":
    main()
