"""Fleets and graphs found by name or path, and what is said when they are not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestra.core.errors import InvalidFleet, InvalidGraph, InvalidRecipe
from orchestra.core.files.yaml_file import load_yaml
from orchestra.fleet.source import graph_place, load_fleet, load_graph, load_worker

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["mini", "article", "endpoints"])
def test_shipped_fleets_load_with_the_folder_they_stand_in(name: str) -> None:
    file, folder = load_fleet(name)
    assert file.name == name
    assert (folder / f"{name}.yaml").is_file()


def test_a_fleet_of_a_users_own_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    shipped = load_fleet("article")[1] / "article.yaml"
    path.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_fleet(str(path))[1] == tmp_path


def own_fleet(folder: Path, about: str) -> str:
    path = folder / "own.yaml"
    shipped = (load_fleet("article")[1] / "article.yaml").read_text(encoding="utf-8")
    lines = [
        f"about: {about}" if line.startswith("about:") else line for line in shipped.split("\n")
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("written", "value", "read"),
    [
        ("${OWN_WORD}", "here: [", "here: ["),  # a variable is a value, and no YAML
        ("a ${OWN_WORD:-b} ${OWN_WORD:-c}", None, "a b c"),
        ("${OWN_WORD:-b}", "", "b"),
        ("${OWN_WORD:-}x", None, "x"),
        ("$${OWN_WORD} $5", "no", "${OWN_WORD} $5"),
    ],
)
def test_a_fleet_reads_environment_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, value: str | None, read: str
) -> None:
    monkeypatch.delenv("OWN_WORD", raising=False)
    if value is not None:
        monkeypatch.setenv("OWN_WORD", value)
    assert load_fleet(own_fleet(tmp_path, f"'{written}'"))[0].about == read


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("${NOT_SET_HERE}", r"about needs the environment variable 'NOT_SET_HERE'.*export NOT_SET"),
        ("${NOT SET}", r"about holds '\$\{NOT SET\}', which names no environment variable"),
    ],
)
def test_a_variable_that_is_missing_or_misspelt_is_named(
    tmp_path: Path, written: str, words: str
) -> None:
    with pytest.raises(InvalidFleet, match=words):
        load_fleet(own_fleet(tmp_path, f"'{written}'"))


def test_an_unknown_fleet_lists_the_fleets_there_are() -> None:
    with pytest.raises(InvalidFleet, match=r"no fleet 'maxi' \(there are: .*article.*mini"):
        load_fleet("maxi")


def test_a_fleet_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidFleet, match=r"no fleet file 'nowhere\.yaml'"):
        load_fleet("nowhere.yaml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [1", "line 1"),
        (b"a: 1\nb: 2\na: 3\n", "'a' stands twice.*line 3|line 3.*'a' stands twice"),
        (b"deep:\n  x: 1\n  x: 2\n", "'x' stands twice"),
        (b"a: \xff\xfe", "decode"),
        (b"!!python/object/apply:os.getcwd []", "python/object"),
        (b"when: 2026-99-99", "month"),
    ],
)
def test_yaml_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidRecipe, match=rf"(?s)cannot be read as a recipe.*({words})"):
        load_yaml(path, what="recipe", error=InvalidRecipe)


def test_a_folder_is_no_yaml_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="cannot be read"):
        load_yaml(tmp_path, what="recipe", error=InvalidRecipe)


def test_keys_that_come_by_merging_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("base: &b {x: 1, y: 2}\nown:\n  <<: *b\n  x: 3\n", encoding="utf-8")
    raw = load_yaml(path, what="recipe", error=InvalidRecipe)
    assert raw["own"] == {"x": 3, "y": 2}


@pytest.mark.parametrize("name", ["listing", "answer", "graphs.listing:build"])
def test_shipped_graphs_load_by_name_and_by_module(name: str) -> None:
    assert load_graph(name).__name__ == "build"


def test_an_unknown_graph_lists_the_graphs_there_are() -> None:
    with pytest.raises(InvalidGraph, match=r"no graph 'cards' \(there are: .*answer.*listing"):
        load_graph("cards")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("graphs.listing:biuld", "no callable 'biuld'"),
        ("graphs.listing:", "no callable ''"),
        ("graphs.listing:WRITTEN", "no callable 'WRITTEN'"),
        ("graphs.nothing:build", "'graphs.nothing' cannot be imported.*Check the name"),
        ("no_such_module_here:build", "'no_such_module_here' cannot be imported"),
        (":build", "cannot be imported"),
        ("nowhere.py:build", r"no file 'nowhere\.py'"),
    ],
)
def test_a_graph_that_cannot_be_had_says_why(name: str, words: str) -> None:
    with pytest.raises(InvalidGraph, match=words):
        load_graph(name)


def graph_file(folder: Path, content: str = "def build():\n    return __name__\n") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "shop.py"
    path.write_text(content, encoding="utf-8")
    return path


def test_a_function_of_a_file_loads_and_two_files_of_one_name_are_two_modules(
    tmp_path: Path,
) -> None:
    first = load_graph(f"{graph_file(tmp_path / 'a')}:build")
    second = load_graph(f"{graph_file(tmp_path / 'b')}:build")
    assert first() != second()


def test_a_loaded_function_can_be_found_again_by_its_module_and_name(tmp_path: Path) -> None:
    found = load_graph(f"{graph_file(tmp_path)}:build")
    again = load_graph(f"{found.__module__}:{found.__qualname__}")
    assert again() == found()


def test_a_graph_file_may_hold_models_with_deferred_annotations(tmp_path: Path) -> None:
    content = (
        "from __future__ import annotations\nfrom pydantic import BaseModel\n"
        "class Part(BaseModel):\n    name: str\n"
        "class Whole(BaseModel):\n    parts: list[Part]\n"
        "def build():\n    return Whole(parts=[{'name': 'x'}])\n"
    )
    build: Any = load_graph(f"{graph_file(tmp_path, content)}:build")
    assert build().parts[0].name == "x"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("def build(:\n", "Mend the module"),
        ("from orchestra import nothing_of_that_name\n", "nothing_of_that_name.*Mend the module"),
        ("import no_such_package\n", "Install what brings 'no_such_package'"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InvalidGraph, match=words):
        load_graph(f"{graph_file(tmp_path, content)}:build")


def in_folder_of_user(folder: Path, code: str) -> str:
    """What `code` prints in a process whose own modules come before the shipped ones."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n{code}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOAD = """
from orchestra.core.errors import OrchestraError
from orchestra.fleet.source import load_fleet, load_graph
for load, name in ((load_graph, "graphs.listing:build"), (load_fleet, "mini")):
    try:
        print(load(name))
    except OrchestraError as error:
        print(error.kind, error)
"""


def test_a_users_own_folder_of_graphs_joins_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "own.py").write_text("def build(): ...\n", encoding="utf-8")
    printed = in_folder_of_user(tmp_path, LOAD + "print(load_graph('graphs.own:build').__module__)")
    assert "function build" in printed and "graphs.own" in printed


def test_a_module_that_a_users_own_package_lacks_is_told_with_that_package(tmp_path: Path) -> None:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "__init__.py").touch()
    said = in_folder_of_user(tmp_path, LOAD.replace("graphs.listing", "graphs.nothing"))
    assert said.startswith("InvalidGraph")
    assert str(tmp_path / "graphs" / "__init__.py") in said
    assert "orchestra.core.shipped.graphs" in said


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("workers.engine:Nothing", r"workers\.engine has no 'Nothing'.*'TransformersEngine'"),
        ("no_such.worker:Class", r"cannot be loaded.*No module named 'no_such'.*Check the name"),
        ("workers", "names no class. Write module:Class"),
        (":X", "names no class. Write module:Class"),
    ],
)
def test_a_worker_that_cannot_be_loaded_is_named_with_a_cure(place: str, words: str) -> None:
    with pytest.raises(InvalidFleet, match=words):
        load_worker(place)


def test_a_worker_whose_module_breaks_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "needy.py").write_text("import a_package_that_is_not_here", encoding="utf-8")
    (tmp_path / "broken.py").write_text("print(undefined)", encoding="utf-8")
    with pytest.raises(InvalidFleet, match="Install what brings 'a_package_that_is_not_here'"):
        load_worker("needy:Own")
    with pytest.raises(InvalidFleet, match="'undefined' is not defined"):
        load_worker("broken:Own")


def test_a_worker_is_the_class_that_its_card_names() -> None:
    assert load_worker("orchestra.testing:ScriptedEngine").__name__ == "ScriptedEngine"


ELSEWHERE = """
import sys
from orchestra.fleet.source import load_graph
print(load_graph(sys.argv[1])().compile().get_graph().nodes.keys())
"""


def test_a_graph_is_found_in_another_process_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "graphs" / "answer.py").read_text(encoding="utf-8")
    (tmp_path / "shop.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    mine, shipped = graph_place(load_graph("shop.py:build")), graph_place(load_graph("answer"))
    assert (mine, shipped) == (f"{tmp_path}/shop.py:build", "graphs.answer:build")
    for place in (mine, shipped):
        told = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(place)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert "'look', 'read', 'merge'" in told


def test_a_function_that_another_process_cannot_find_has_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def inner() -> None: ...

    assert graph_place(inner) is None
    monkeypatch.setattr(inner, "__module__", "__main__")
    monkeypatch.setattr(inner, "__qualname__", "inner")
    monkeypatch.setattr(sys.modules["__main__"], "inner", inner, raising=False)
    assert graph_place(inner) is None
