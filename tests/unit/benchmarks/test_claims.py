"""The page of claims: article and measurement side by side, and never one for the other."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.claims import ROOT, Claim, Source, bench_table, measured, page, read_claims, walk
from benchmarks.record import record, shown
from orchestra.cli.main import COMMANDS

BENCH = {
    "models": [
        {
            "model": "r1",
            "role": "R1",
            "error": None,
            "scores": [
                {"task": "qa", "accuracy": 0.5, "interval": [0.3, 0.7], "asked": 20},
            ],
            "latency_p50_ms": 12.0,
            "latency_p95_ms": 30.5,
            "memory_mib": None,
            "size_mb": 3.5,
        }
    ],
    "machine": {"cpus": 2, "machine": "x86_64", "load": [0.1, 0.1, 0.1]},
}

# What the scripts print, in their form; the figures are made up.
PRINTED = {
    "attention": (
        "one thing, right answers\n\n"
        "| method | n | pointing game (95%) | IoU |\n|---|---|---|---|\n"
        "| refined | 9 | 11.1% (1.0% to 40.0%) | 0.1 |\n\nboth, right answers\n\n"
        "| method | n | pointing game (95%) | IoU |\n|---|---|---|---|\n"
        "| refined | 20 | 77.0% (60.0% to 90.0%) | 0.3 |\n"
        "| raw | 20 | 44.0% (30.0% to 60.0%) | 0.2 |\n"
    ),
    "edge": (
        "weights: r1 3529280 bytes (F16), v2 900000 (I8): 0.255 of r1\n"
        "batch  1: v2 edge 900 (1.0x), r1 onnx 450 (2.0x), r1 torch 150 (6.0x)\n"
        "batch  8: v2 edge 900 (1.0x), r1 onnx 300 (3.0x), r1 torch 100 (9.0x)\n"
        "  mean       r1 0.500  v2 0.480: 96.0% of r1\n"
    ),
    "finetune": (
        "seed 0: fine-tuning takes at most 9.9% of the compute\n"
        "mean: 22.2% of the compute of scratch, so 77.8% less\n"
    ),
    "continual": (
        "seed 0 plain: 60.0% at the end, 33.0% forgotten of earlier tasks; r1's own 9% to 1%\n"
        "plain: 61.0% at the end, 31.5% forgotten (mean of 3 seeds)\n"
        "replay: 81.0% at the end, 2.5% forgotten (mean of 3 seeds)\n"
        "osf: 71.0% at the end, -1.5% forgotten (mean of 3 seeds)\n"
    ),
}
SHOWN = {
    "C5": ["77.0% (60.0% to 90.0%) of 20", "44.0% (30.0% to 60.0%) of 20"],
    "C6": ["96.0%", "2.0x; 6.0x", "0.255 (R1 stored as F16)"],
    "C8": ["22.2% of it"],
    "C14": ["31.5%", "2.5%", "-1.5%"],
}


def kept(root: Path) -> Path:
    (root / "bench.json").write_text(json.dumps(BENCH), encoding="utf-8")
    (root / "log.txt").write_text("steps 10\nratio 1.25 of 3\n", encoding="utf-8")
    return root


def test_without_measurements_no_row_says_a_figure(tmp_path: Path) -> None:
    claims = read_claims()
    rows = [line for line in page(claims, tmp_path).splitlines() if line.startswith("| ")]
    figures = [row for row in rows if not row.startswith(("| What |", "|---"))]
    assert len(figures) == sum(len(claim.rows) for claim in claims)
    assert all(row.endswith("| not measured |") for row in figures)


def test_every_claim_has_a_section_with_the_articles_own_figures() -> None:
    claims = read_claims()
    assert [claim.id for claim in claims] == [f"C{number}" for number in range(1, 15)]
    text = page(claims)
    assert "89.2 (GLUE classification)" in text
    assert all(f"## {claim.id}: {claim.title}" in text for claim in claims)
    written = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert all(f"## {claim.id}: {claim.title}" in written for claim in claims)


@pytest.mark.parametrize("claim", read_claims(), ids=lambda claim: claim.id)
def test_what_repeats_a_claim_can_be_run(claim: Claim) -> None:
    for line in claim.repeat:
        words = shlex.split(line)
        if words[0] == "orchestra":
            assert words[1] in COMMANDS
        for at, word in enumerate(words):
            if word == "-m":
                assert importlib.util.find_spec(words[at + 1]), line
            if word.endswith(".py"):
                assert (ROOT / word).is_file(), line


def test_a_measured_figure_is_found_in_json_and_in_a_text(tmp_path: Path) -> None:
    root = kept(tmp_path)
    share = Source(file="bench.json", at="models/r1/scores/qa", show="{accuracy:.0%} of {asked}")
    assert measured(share, root) == "50% of 20"
    speed = Source(file="bench.json", at="models/r1/latency_p50_ms", show="{:.0f} ms")
    assert measured(speed, root) == "12 ms"
    ratio = Source(file="log.txt", find=r"^ratio (?P<ratio>[\d.]+)", show="{ratio}x")
    assert measured(ratio, root) == "1.25x"
    for gone in (
        share.model_copy(update={"file": "gone.json"}),
        share.model_copy(update={"at": "models/v3/scores/qa"}),
        ratio.model_copy(update={"find": "nothing (?P<ratio>x)"}),
    ):
        assert measured(gone, root) is None


def test_what_the_scripts_print_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "docs" / "measured"
    folder.mkdir(parents=True)
    for name, text in PRINTED.items():
        (folder / f"{name}.txt").write_text(f"# command\n# day\n{text}", encoding="utf-8")
    claims = {claim.id: claim for claim in read_claims()}
    for claim, wanted in SHOWN.items():
        sources = [source for row in claims[claim].rows for source in row.measured]
        found = [measured(source, tmp_path) for source in sources]
        assert [text for text in found if text is not None] == wanted


def test_fewer_errors_compares_two_accuracies(tmp_path: Path) -> None:
    models = [{"model": "vl", "right": 0.8}, {"model": "v3", "right": 0.6}]
    (tmp_path / "b.json").write_text(json.dumps({"models": models}), encoding="utf-8")
    source = Source(
        file="b.json", at="models/vl/right", fewer_errors="models/v3/right", show="{:.0%}"
    )
    assert measured(source, tmp_path) == "50%"
    alone = source.model_copy(update={"fewer_errors": "models/gone/right"})
    assert measured(alone, tmp_path) is None


def test_entries_of_a_list_are_named_by_more_than_one_key() -> None:
    table = [
        {"rows": "told", "model": "r1", "f1": 1},
        {"rows": "told", "model": "vl", "f1": 2},
        {"rows": "all", "model": "r1", "f1": 3},
    ]
    assert walk({"table": table}, "table/told/vl/f1") == 2
    assert walk({"table": table}, "table/all/r1/f1") == 3
    assert walk({"table": table}, "table/told") is None
    assert walk({"table": table}, "table/none/r1") is None


def test_the_bench_becomes_a_table(tmp_path: Path) -> None:
    lines = bench_table(kept(tmp_path) / "bench.json")
    assert lines[0] == "| model | role | qa | p50 ms | p95 ms | memory MiB | size MB |"
    assert lines[2] == "| r1 | R1 | 50.0% [30.0%, 70.0%] of 20 | 12.0 | 30.5 | - | 3.5 |"
    assert "not measured" in bench_table(tmp_path / "gone.json")[0]


def test_what_a_command_printed_is_kept_with_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('ratio 2.5')"]
    path = record("speed", command, tmp_path)
    head, _, body = path.read_text(encoding="utf-8").partition("\nratio")
    assert body == " 2.5\n"
    assert head.startswith(f"# {shown(command)}")
    assert str(Path(sys.executable).parent) not in head


def test_a_command_that_fails_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "speed.txt").write_text("before")
    with pytest.raises(subprocess.CalledProcessError):
        record("speed", [sys.executable, "-c", "print(1); raise SystemExit(3)"], tmp_path)
    assert (tmp_path / "speed.txt").read_text() == "before"
