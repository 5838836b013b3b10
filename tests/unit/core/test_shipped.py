"""What ships is found whatever a user's own `graphs` and `workers` are, and theirs stays theirs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.core import shipped
from orchestra.core.card import Card
from orchestra.fleet.source import load_fleet, load_worker

ROOT = Path(__file__).parents[3]
FOUND = """
from orchestra.core import shipped
from orchestra.bench.questions import load_questions
from orchestra.fleet.source import graph_place, load_fleet, load_graph, load_worker
from orchestra.batch.request import place_of
from orchestra.serving.app import graph_name
for name in ("answer", "listing"):
    build = load_graph(name)
    place = graph_place(build)
    assert load_graph(place) is build, place
    print(graph_name(build), place, place_of(build), build().compile() is not None)
fleet, folder = load_fleet("mini")
for card in fleet.models:
    print(card.name, load_worker(card.hosting.worker).__name__)
print(load_worker(load_worker("workers.engine:TransformersEngine").trainer).__name__)
assert folder == shipped.ROOT / "workers" / "fleets"
"""


def python(folder: Path, code: str, *later: Path) -> str:
    """What `code` prints in a process whose modules of `folder` come before the shipped ones, and
    those of `later` after them."""
    paths = os.pathsep.join(map(str, (folder, ROOT, *later)))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False,
        cwd=folder, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(folder: Path, **files: str) -> None:
    """Files by their paths, in which two underscores stand for a slash."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def package(folder: Path, *names: str, content: str = "") -> None:
    for name in names:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text(content, encoding="utf-8")


REFUSES = "raise RuntimeError('a package of the user is not for us to import')\n"


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory) -> str:
    return python(tmp_path_factory.mktemp("empty"), FOUND)


@pytest.mark.parametrize("hiding", [("graphs",), ("workers",), ("graphs", "workers")])
def test_what_ships_is_found_beside_regular_packages_of_those_names(
    tmp_path: Path, hiding: tuple[str, ...], as_it_is: str
) -> None:
    package(tmp_path, *hiding, content=REFUSES)
    assert python(tmp_path, FOUND) == as_it_is


def test_what_ships_is_found_beside_a_file_of_that_name(tmp_path: Path, as_it_is: str) -> None:
    write(tmp_path, graphs=REFUSES, workers=REFUSES)
    assert python(tmp_path, FOUND) == as_it_is


def test_a_users_modules_called_as_ours_hide_none_of_ours(tmp_path: Path, as_it_is: str) -> None:
    """Without `__init__.py` the folders join ours, and their files come first."""
    write(tmp_path, workers__text=REFUSES, workers__engine=REFUSES, graphs__writing=REFUSES)
    assert python(tmp_path, FOUND) == as_it_is


def test_a_users_module_on_a_later_path_hides_no_folder_of_ours(
    tmp_path: Path, as_it_is: str
) -> None:
    """Python takes a later `workers/text.py` over a folder `workers/text` without `__init__.py`."""
    home, later = tmp_path / "home", tmp_path / "later"
    home.mkdir()
    write(later, workers__text=REFUSES)
    assert python(home, FOUND, later) == as_it_is


OWN_GRAPH = """
from langgraph.graph import END, START, StateGraph
from graphs.helpers import ASKED
from orchestra import Context, JobState, ask
def build():
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", ASKED))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph
"""
MINE = """
from graphs import listing
from orchestra.core.shipped.graphs.answer import build as longer
from orchestra.fleet.source import graph_place, load_graph
mine, answer = load_graph("graphs.mine:build"), load_graph("answer")
assert longer is answer
print(mine.__globals__["ASKED"], list(mine().nodes), list(answer().nodes))
own, ours = load_graph("graphs.listing:build"), load_graph("listing")
print(own is listing.build, ours is own, load_graph(graph_place(ours)) is ours, graph_place(own))
"""


def test_a_users_graph_imports_its_own_package_beside_ours(tmp_path: Path) -> None:
    package(tmp_path, "graphs")
    write(tmp_path, graphs__mine=OWN_GRAPH, graphs__helpers="ASKED = 'What is it?'\n",
          graphs__listing="def build(): ...\n")  # fmt: skip
    told = python(tmp_path, MINE).splitlines()
    assert told[0] == "What is it? ['read'] ['look', 'read', 'merge']"
    assert told[1] == "True False True graphs.listing:build"


WORKERS = """
from orchestra.fleet.source import load_worker
from orchestra.core.shipped import origin
for place in ("workers.mine:Worker", "workers.engine:TransformersEngine", "workers.engine:Own"):
    print(load_worker(place).__module__, origin(place))
"""


def test_a_users_worker_loads_beside_ours_in_one_process(tmp_path: Path) -> None:
    package(tmp_path, "workers")
    write(tmp_path, workers__mine="from workers.engine import Own\nclass Worker(Own): ...\n",
          workers__engine="class Own: ...\n")  # fmt: skip
    assert python(tmp_path, WORKERS).splitlines() == [
        f"workers.mine {tmp_path}/workers/mine.py",
        f"orchestra.core.shipped.workers.engine {ROOT}/workers/engine.py",
        f"workers.engine {tmp_path}/workers/engine.py",
    ]


def test_nothing_is_loaded_twice_where_nothing_is_hidden() -> None:
    from workers.engine import TransformersEngine

    assert load_worker("workers.engine:TransformersEngine") is TransformersEngine


def test_every_shipped_worker_says_where_its_class_is() -> None:
    cards: list[Card] = [
        card for name in ("mini", "article") for card in load_fleet(name)[0].models
    ]
    places = {card.hosting.worker for card in cards if card.hosting.worker}
    assert places
    for place in places:
        module = place.partition(":")[0]
        assert shipped.origin(place) == ROOT / f"{module.replace('.', '/')}.py"


def test_shipped_files_import_each_other_in_the_form_that_can_be_led() -> None:
    """`from workers.x import y`: `import workers.x` would bind a name that is the user's."""
    for name in shipped.PACKAGES:
        for path in (ROOT / name).rglob("*.py"):
            if path.is_relative_to(ROOT / "workers" / "training"):
                continue  # not shipped
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Import):
                    tops = {alias.name.partition(".")[0] for alias in node.names}
                    assert not tops & set(shipped.PACKAGES), path


ASK_AT_ONCE = """
import threading
from orchestra.core import shipped

found, gate = [], threading.Barrier(8)

def ask():
    gate.wait()
    try:
        found.append(shipped.attribute("workers.edge.engine:EdgeEngine").__name__)
    except AttributeError as error:
        found.append(str(error))

threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(set(found))
"""


def test_threads_that_ask_at_one_moment_wait_until_the_module_is_whole() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASK_AT_ONCE], capture_output=True, text=True, timeout=120
    )
    assert asked.stdout.strip() == "{'EdgeEngine'}", asked.stderr
