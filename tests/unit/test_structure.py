"""What the house promises of its own source, and `lint-imports` cannot say."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.house.structure import Structure, largest_folders

ROOT = Path(__file__).parents[2]
OPTIONAL = {
    "ray",
    "peft",
    "opentelemetry",
    "prometheus_client",
    "fsspec",
    "psycopg",
}  # what only an extra brings
SLOW = {"ftfy", "pint"}  # reading them takes longer than most runs, and few need them
NEED_RAY = {
    "orchestra.batch.run.cluster",
    "orchestra.clients.handle",
    "orchestra.serving.deployment",
}
NEED_PYARROW = {"orchestra.batch.output.parquet", "orchestra.batch.tables.parquet"}
NEED_OPENPYXL = {"orchestra.batch.tables.excel"}  # slow as those are
MOST_NAMES_TWICE = 10
MOST_FILES_SIDE_BY_SIDE = 30


@pytest.fixture(scope="module")
def structure() -> Structure:
    return Structure.of(ROOT)


def test_no_file_imports_itself_over_others(structure: Structure) -> None:
    assert structure.circles() == []


def test_no_two_rooms_import_each_other(structure: Structure) -> None:
    assert structure.mutual() == []


def test_a_class_name_means_one_thing(structure: Structure) -> None:
    assert len(structure.names_used_twice()) <= MOST_NAMES_TWICE


def test_no_folder_is_too_full_to_read() -> None:
    folder, count = largest_folders(ROOT)[0]
    assert count <= MOST_FILES_SIDE_BY_SIDE, folder


def deferred(tree: ast.AST, inside: bool = False) -> Iterator[str]:
    """Modules that are imported inside functions or only for types."""
    for node in ast.iter_child_nodes(tree):
        within = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            within = True
        if within and isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif within and isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from deferred(node, within)


def test_imports_are_deferred_only_where_an_extra_is_optional(structure: Structure) -> None:
    late = {
        (name, module)
        for name, path in structure.files.items()
        if name != "orchestra"  # its names load at first use
        for module in deferred(ast.parse(path.read_text(encoding="utf-8")))
        if module.partition(".")[0] not in OPTIONAL | SLOW
        and module not in NEED_RAY | NEED_PYARROW | NEED_OPENPYXL
    }
    assert late == set()


def trees(document: str) -> Iterator[tuple[str | None, str, bool]]:
    """Caller, file called, and whether it is called by name, of each line of the walks."""
    above: list[tuple[int, str]] = []
    for line in document.splitlines():
        place, _, words = line.strip().partition(" ")
        if not place.endswith(".py") or line.startswith("`"):
            continue
        depth = len(line) - len(line.lstrip())
        while above and above[-1][0] >= depth:
            above.pop()
        yield (above[-1][1] if above else None), place, words.strip().startswith("by name")
        above.append((depth, place))


def floors() -> dict[str, int]:
    """The height of each room of orchestra, as `lint-imports` holds it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = contracts["tool"]["importlinter"]["contracts"][0]["layers"]
    return {
        room.strip(): len(layers) - at
        for at, rooms in enumerate(layers)
        for room in rooms.replace(":", "|").split("|")
    }


def test_the_walks_in_the_documents_go_down_and_are_true(structure: Structure) -> None:
    heights = floors()
    steps = list(trees((ROOT / "docs" / "walks.md").read_text(encoding="utf-8")))
    assert len(steps) > 40
    for caller, called, by_name in steps:
        assert (ROOT / called).is_file(), called
        if caller is None:
            continue
        names = [place.removesuffix(".py").replace("/", ".") for place in (caller, called)]
        if not by_name:
            assert names[1] in structure.imports[names[0]], f"{caller} does not import {called}"
        if names[1].startswith("orchestra."):
            rooms = [heights[name.split(".")[1]] for name in names]
            assert rooms[1] <= rooms[0], f"{called} stands above {caller}"
