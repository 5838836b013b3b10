"""What a user runs first needs only the extra `mini`: importing what it lacks is an error."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "pyarrow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusing())
"""
COMMAND = WITHOUT + "from orchestra.cli.main import main; main()"


def orchestra(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that lacks them."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    script = ROOT / "examples" / "demo" / "make_catalog.py"
    subprocess.run([sys.executable, str(script), "--out", str(folder)], check=True)
    return folder


def test_the_demo_enriches_its_catalog(catalog: Path, tmp_path: Path) -> None:
    table, out = str(catalog / "products.csv"), tmp_path / "out"
    orchestra("batch", table, "--out", str(out), "--language", "auto", "--limit", "8")
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))[:8]
    sources = {value for row in rows for key, value in row.items() if key.endswith("_source")}
    assert {"image", "text", "both"} & sources, sources
    assert "No module named" not in (out / "errors.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ("Red cotton shirt", "--graph", "listing"),
        ("What is (5 + 6) mod 8?", "--graph", "maths"),
        ("What colour is it?", "--image", "IMAGE"),
    ],
)
def test_a_single_run_answers(catalog: Path, words: tuple[str, ...]) -> None:
    photo = next(path for path in sorted(catalog.rglob("*.jpg")) if path.stat().st_size > 3000)
    given = [str(photo) if word == "IMAGE" else word for word in words]
    result = json.loads(orchestra("run", *given, "--json").stdout)
    assert result["status"] in ("complete", "degraded"), result


def test_a_map_names_the_extra_that_it_needs(catalog: Path) -> None:
    photo = next(path for path in sorted(catalog.rglob("*.jpg")) if path.stat().st_size > 3000)
    asked = orchestra("attend", str(photo), "What is this?", status=2)
    assert "orchestra-fleet[local]" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_a_table_of_parquet_names_the_extra_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "products.parquet").write_bytes(b"PAR1")
    asked = orchestra("batch", str(tmp_path / "products.parquet"), "--out", "out", status=2)
    assert "orchestra-fleet[parquet]" in asked.stderr
    assert "Traceback" not in asked.stderr
