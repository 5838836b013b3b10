"""The documents say what is true: their commands parse, their Python plans, their keys exist."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import get_args

import click
import pytest
import yaml

from graphs.listing import build as listing
from orchestra import Budget, Job
from orchestra.app import Fleet
from orchestra.batch.recipe import FieldRule, Length, Recipe, Value, Writing
from orchestra.cli.main import COMMANDS, main
from orchestra.core import errors
from orchestra.core.job import Status
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from tests.documents import BLOCK, command_lines
from workers.synthetic.drawn import draw_product

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
GUIDES = ("docs/recipe.md", "docs/graphs.md", "docs/workers.md")
MANUALS = (
    "docs/serving.md",
    "docs/api.md",
    "docs/endpoints.md",
    "docs/checkpoints.md",
    "docs/attention.md",
    "docs/photos.md",
    "docs/planning.md",
    "docs/review.md",
    "docs/finetune.md",
    "docs/routing.md",
    "docs/calibration.md",
    "docs/decisions.md",
    "docs/keys.md",
)
ERRORS = ("docs/errors.md", "docs/errors.zh-CN.md")
COMMAND_PAGES = ("docs/commands.md", "docs/commands.zh-CN.md")
NUMBERS = ("docs/numbers.md", "docs/numbers.zh-CN.md")
PAIRS = (*READMES, *ERRORS, *NUMBERS, *COMMAND_PAGES)
PAGES = (*PAIRS, *GUIDES, *MANUALS, "ARCHITECTURE.md", "CONTRIBUTING.md")
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
INLINE = re.compile(r"`(orchestra [^`]+)`")
LINK = re.compile(r"\]\(([^)#]+)")
SURE = re.compile(r"0\.9\d")  # the last digit of a confidence is this machine's
ERROR_CELL = re.compile(r"^\| ((?:`[A-Z]\w+`(?:, )?)+) \|", re.MULTILINE)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(read(page)) if kind == language]


def command_called(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    if command is None:
        raise LookupError(name)
    return command


def run_module(source: str) -> ModuleType:
    module = ModuleType("shop")
    exec(compile(source, "shop.py", "exec", dont_inherit=True), module.__dict__)
    return module


def test_both_readmes_have_the_same_headings_and_code() -> None:
    english, chinese = map(read, READMES)
    assert HEADING.findall(english) == HEADING.findall(chinese)
    kinds = [[kind for kind, _ in BLOCK.findall(page)] for page in (english, chinese)]
    assert kinds[0] == kinds[1]
    assert blocks(READMES[0], "python") == blocks(READMES[1], "python")
    assert blocks(READMES[0], "mermaid") == blocks(READMES[1], "mermaid")
    assert list(command_lines(READMES[0])) == list(command_lines(READMES[1]))
    assert english.count("\n|") == chinese.count("\n|")
    assert english.count("\n- ") == chinese.count("\n- ")


@pytest.mark.parametrize("page", [*READMES, *GUIDES])
def test_every_command_in_a_code_block_parses(page: str) -> None:
    commands = list(command_lines(page))
    assert commands
    for name, *arguments in commands:
        command_called(name).make_context(name, arguments)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_named_in_a_sentence_exists_with_its_options(page: str) -> None:
    for written in INLINE.findall(read(page)):
        _, name, *words = shlex.split(written)
        command = command_called(name)
        if isinstance(command, click.Group) and words:
            command = command.commands[words[0]]
        known = {flag for parameter in command.params for flag in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, written


def test_the_readme_shows_every_command() -> None:
    shown = {arguments[0] for arguments in command_lines("README.md")}
    assert shown == set(COMMANDS)


def test_the_readmes_example_plans_within_its_budget_and_serves() -> None:
    source, _ = blocks("README.md", "python")
    shop = run_module(source)
    job = Job(text="红色纯棉衬衫", images=["shirt.jpg"], budget=Budget(cost_usd="0.01"))
    plan = Fleet.open("mini").plan(shop.build, job)
    assert {node.node: node.model for node in plan.nodes} == {"look": "vl", "read": "r1"}
    assert callable(shop.app)


async def test_the_readmes_example_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_product("shirt", "white", seed=1_000_003, size=256).save(tmp_path / "shirt.jpg", "PNG")
    (tmp_path / "products.csv").write_text("name,image\n红色纯棉衬衫,shirt.jpg\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    source, _ = blocks("README.md", "python")
    await run_module(source).main()
    printed = capsys.readouterr().out
    told = SURE.sub("0.9x", printed[printed.index("review ") :])
    for page in READMES:
        assert SURE.sub("0.9x", blocks(page, "text")[-1]) == told


def test_the_pictures_are_those_of_the_graphs() -> None:
    shop, _ = blocks("README.md", "python")
    for page, build in (("README.md", run_module(shop).build), ("docs/graphs.md", listing)):
        (picture,) = blocks(page, "mermaid")
        drawn = compile_graph(build).get_graph().draw_mermaid()
        edges = [line.strip() for line in drawn.splitlines() if "-->" in line]
        assert [line.strip() for line in picture.splitlines() if "-->" in line] == edges


def test_the_guides_python_runs_and_its_graphs_are_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, *rest = (run_module(source) for source in blocks("docs/graphs.md", "python"))
    assert set(view(compile_graph(first.build)).asks) == {"look", "read"}
    nested, second, third, follow, approve = rest
    assert set(nested.Product.model_fields) == {"maker", "colours"}
    assert second.title.reads == "facts"
    assert second.known({"fields": {}}) is None
    job = Job(text="Red cotton shirt", images=["a.jpg", "b.jpg"])
    look, again = Fleet.open("mini").plan(third.build, job).nodes
    assert (look.visits, look.photos, again.share) == (2, 1, 0.2)
    job = Job(text="Red cotton shirt")
    asyncio.run(follow.follow(first.build, job))
    told = capsys.readouterr().out
    for mode in ("updates", "messages", "plan", "call", "spend", "result"):
        assert any(line.startswith(mode) for line in told.splitlines()), mode
    monkeypatch.chdir(tmp_path)
    asyncio.run(approve.approve(first.build, job))
    assert (tmp_path / "book.sqlite").exists()


def test_the_recipe_guides_example_is_a_recipe_and_every_key_is_explained() -> None:
    (example,) = blocks("docs/recipe.md", "yaml")
    recipe = Recipe.model_validate(yaml.safe_load(example))
    assert recipe.fields["category"].alike == (("shirt", "t-shirt"),)
    assert recipe.photo_schema()["properties"]["colour"]["enum"] == ["red", "blue", None]
    guide = read("docs/recipe.md")
    for model in (Recipe, FieldRule, Writing, Length, Value):
        for name, info in model.model_fields.items():
            key = info.alias or name
            assert f"`{key}`" in guide or f"{key}:" in guide, f"{model.__name__}.{key}"
            if model in (Recipe, FieldRule, Writing):
                assert f"| `{key}` |" in guide, f"{model.__name__}.{key} has no row"


def test_the_recipe_guide_states_the_defaults() -> None:
    guide = read("docs/recipe.md")
    for name in ("prefer", "least_photo_confidence", "contradiction_confidence", "tone"):
        assert f"| `{name}` | `{Recipe.model_fields[name].default}` |" in guide


@pytest.mark.parametrize("page", READMES)
def test_every_status_is_explained(page: str) -> None:
    text = read(page)
    for status in (*get_args(Status), "pending"):
        assert f"| `{status}` |" in text


@pytest.mark.parametrize("pages", [ERRORS, NUMBERS, COMMAND_PAGES])
def test_what_readmes_lead_to_has_the_same_lines_in_both_languages(pages: tuple[str, str]) -> None:
    english, chinese = map(read, pages)
    assert english.count("\n|") == chinese.count("\n|") > 10


@pytest.mark.parametrize("page", ERRORS)
def test_error_types_of_the_tables_exist(page: str) -> None:
    text = read(page)
    named = {name for cell in ERROR_CELL.findall(text) for name in re.findall(r"`(\w+)`", cell)}
    assert named
    assert all(issubclass(getattr(errors, name), errors.OrchestraError) for name in named)


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    links = [link for link in LINK.findall(read(page)) if "://" not in link]
    missing = [link for link in links if not (folder / link).exists()]
    assert [link for link in missing if not link.endswith(".png")] == []


def test_architecture_names_files_that_exist() -> None:
    text = read("ARCHITECTURE.md")
    life = text[text.index("## Life of a job") :]
    names = set(re.findall(r"`([\w/]+\.py)`", life))
    assert len(names) > 30
    places = [
        path.as_posix()
        for top in ("orchestra", "graphs", "workers")
        for path in (ROOT / top).rglob("*.py")
    ]
    assert [name for name in sorted(names) if not any(p.endswith(f"/{name}") for p in places)] == []
