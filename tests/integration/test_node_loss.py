"""A served graph on three nodes, under load, that loses a replica and then a node."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmarks.cluster_kill import MODEL, REPLICAS, Asked, calls_of, questions, serve_struck
from tests.stub_worker import FLEET

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
JOBS = 90


def test_no_accepted_job_is_lost_or_paid_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # replicas import the stub worker
    file = yaml.safe_load(FLEET)
    (card,) = file["models"]
    assert card["name"] == MODEL
    card["hosting"]["scaling"] = {"replicas": REPLICAS}
    fleet = tmp_path / "two-replicas.yaml"
    fleet.write_text(yaml.safe_dump(file), encoding="utf-8")
    jobs = [Asked(text) for text in questions(JOBS)]
    serve_struck(fleet, tmp_path / "book.sqlite", jobs)
    assert [len(job.answers) for job in jobs] == [1] * JOBS
    # The proxy stands on the head node, beside the ingress: no client had to ask again.
    assert [why for job in jobs for why in job.refusals] == []
    calls = calls_of(tmp_path / "book.sqlite")
    assert calls.states == {"settled": JOBS}
    assert calls.paid_again == 0
