"""The shape of the source in figures: circles, rooms that import each other, names used twice.

    python -m benchmarks.house.structure [FOLDER]

Every import counts, deferred and type-only ones too. A circle is a set of files each of which
imports every other in the end (a strongly connected component; Tarjan 1972).
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("orchestra", "graphs", "workers")
COUNTED = (*PACKAGES, "tests", "benchmarks", "examples")


@dataclass(frozen=True, slots=True)
class Structure:
    """What is known of a checkout; modules are named as they are imported."""

    files: dict[str, Path]
    imports: dict[str, set[str]]
    classes: dict[str, list[str]]

    @classmethod
    def of(cls, root: Path) -> Structure:
        """Read the source under `root`."""
        files = {name: path for part in PACKAGES for name, path in _modules(root, part)}
        trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in files.items()}
        classes: dict[str, list[str]] = defaultdict(list)
        for name, tree in trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    classes[node.name].append(name)
        imports = {name: set(_imports(name, tree, files)) for name, tree in trees.items()}
        return cls(files, imports, dict(classes))

    def circles(self) -> list[list[str]]:
        """Sets of files that import each other, directly or over others, the largest first."""
        found = [sorted(part) for part in _components(self.imports) if len(part) > 1]
        return sorted(found, key=len, reverse=True)

    def mutual(self) -> list[tuple[str, str]]:
        """Pairs of rooms in one package, each of which imports the other."""
        arrows: set[tuple[str, str]] = set()
        for name, others in self.imports.items():
            for other in others:
                shared = 0
                ours, theirs = name.split("."), other.split(".")
                while shared < min(len(ours), len(theirs)) and ours[shared] == theirs[shared]:
                    shared += 1
                if 0 < shared < min(len(ours), len(theirs)):
                    arrows.add((".".join(ours[: shared + 1]), ".".join(theirs[: shared + 1])))
        return sorted((a, b) for a, b in arrows if a < b and (b, a) in arrows)

    def names_used_twice(self) -> dict[str, list[str]]:
        """Class names that are defined more than once, and where."""
        return {name: places for name, places in self.classes.items() if len(places) > 1}


def largest_folders(root: Path) -> list[tuple[str, int]]:
    """Folders by how many Python files stand in them side by side, the fullest first."""
    counted = Counter(
        path.parent.relative_to(root).as_posix()
        for part in COUNTED
        for path in (root / part).rglob("*.py")
        if path.name != "__init__.py"
    )
    return counted.most_common()


def lines_of(root: Path, folder: str) -> tuple[int, int]:
    """Python files under a folder, and their lines."""
    files = list((root / folder).rglob("*.py"))
    return len(files), sum(path.read_bytes().count(b"\n") for path in files)


def _modules(root: Path, part: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / part).rglob("*.py")):
        yield ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path


def _imports(name: str, tree: ast.Module, files: dict[str, Path]) -> Iterator[str]:
    """The modules that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            places = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            places = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for place in places:
            while place and place not in files:
                place = place.rpartition(".")[0]
            if place and place != name:
                yield place


def _components(arrows: dict[str, set[str]]) -> list[list[str]]:
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in arrows[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            found.append(stack[at:])
            del stack[at:]

    for name in arrows:
        if name not in index:
            visit(name)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="The shape of the source in figures.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[2])
    root = parser.parse_args().root
    structure = Structure.of(root)
    print(f"{'package':30}{'files':>7}{'lines':>8}")
    rooms = sorted(path for path in (root / "orchestra").iterdir() if path.is_dir())
    for folder in [*(f"orchestra/{room.name}" for room in rooms), *COUNTED]:
        files, lines = lines_of(root, folder)
        if files:
            print(f"{folder:30}{files:>7}{lines:>8}")
    circles, mutual = structure.circles(), structure.mutual()
    print(f"circles of files: {len(circles)} {[len(circle) for circle in circles]}")
    print(f"rooms that import each other: {len(mutual)} {mutual}")
    twice = structure.names_used_twice()
    total = len(structure.classes)
    print(f"class names defined twice: {len(twice)} of {total} ({', '.join(sorted(twice))})")
    for folder, count in largest_folders(root)[:3]:
        print(f"files side by side: {count} in {folder}")


if __name__ == "__main__":
    main()
