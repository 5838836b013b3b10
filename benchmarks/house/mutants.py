"""Which small errors in the source do its unit tests notice? A sample of mutants, one at a time.

    python -m benchmarks.house.mutants book --seed 0 --sample 60
    python -m benchmarks.house.mutants batch --sample 60 --json batch.jsonl --survivors

Needs cosmic-ray (measured with 8.7.0), which is no part of the extra `dev`: it brings SQLAlchemy,
aiohttp and GitPython along. Nothing in this checkout is touched: mutants live in a copy, which is
deleted afterwards. Each is run by a fork of this process, which has imported other people's
packages and none of ours, against the tests that stand nearest to the file, until one fails.

A place is drawn first, then what happens to it: a comparison, an operator of arithmetic, a number,
`and`, `or`, `not`, `True`, `break`, an exception that is caught, a loop that turns no more, or a
call for its effect alone that is left out. Annotations, decorators and messages are left alone.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import difflib
import importlib
import importlib.util
import json
import os
import py_compile
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BOOK = "tests/unit/book"
BATCH = "tests/unit/batch"
ROUTING = "tests/unit/routing"
# Stages of tests, each run where the one before noticed nothing; the slow ones stand last.
BOOK_TESTS = (
    tuple(
        f"{BOOK}/test_{name}.py"
        for name in ("ledger", "ledger_groups", "book_accounts", "book_calls", "book_journal")
    ),
    tuple(f"{BOOK}/test_{name}.py" for name in ("remote", "costs", "book_files", "book_money")),
    tuple(f"{BOOK}/test_{name}.py" for name in ("memory", "budget_properties", "book_machine")),
)
PLAN_TESTS = (
    tuple(f"{BATCH}/plan/test_{name}.py" for name in ("planner", "forecast", "kinds")),
    (f"{BATCH}/plan/test_allotment.py",),
)
# What every test imports of other people's; importing it once is most of a run's start.
PRELOADED = ("pytest", "hypothesis", "pydantic", "yaml", "httpx", "langgraph.graph", "numpy")
# Area -> source file or folder -> the tests nearest to it, in stages; what stands later counts.
Stages = tuple[tuple[str, ...], ...]
AREAS: dict[str, dict[str, Stages]] = {
    "book": {
        "orchestra/book": BOOK_TESTS,
        "orchestra/book/memory.py": ((f"{BOOK}/test_memory.py",), BOOK_TESTS[2]),
    },
    "batch": {
        "orchestra/batch/row_run.py": ((f"{BATCH}/test_row_run.py",), (f"{BATCH}/run",)),
        "orchestra/batch/start.py": ((f"{BATCH}/run/test_runner.py",), (f"{BATCH}/plan",)),
        "orchestra/batch/folder.py": (
            (f"{BATCH}/test_folder.py",),
            (f"{BATCH}/run/test_runner.py", f"{BOOK}/test_costs.py"),
        ),
        # `run/cluster.py` and `run/far.py` are tested on a cluster, which takes minutes.
        "orchestra/batch/run/runner.py": ((f"{BATCH}/run/test_runner.py",), (f"{BATCH}/plan",)),
        "orchestra/batch/run/hosts.py": ((f"{BATCH}/run/test_hosts.py",),),
        "orchestra/batch/run/row_host.py": ((f"{BATCH}/run/test_row_host.py",),),
        "orchestra/batch/plan/allocation.py": (
            (f"{BATCH}/plan/test_allocation.py",),
            (f"{BATCH}/plan/test_allotment.py", f"{BATCH}/plan/test_planner.py"),
        ),
        "orchestra/batch/plan/planner.py": PLAN_TESTS,
        "orchestra/batch/plan/survey.py": PLAN_TESTS,
        "orchestra/batch/plan/sample.py": PLAN_TESTS,
    },
    "routing": {"orchestra/routing": ((ROUTING,), ("tests/unit/graph", "tests/unit/quality"))},
}
SKIPPED_OPERATORS = ("core/RemoveDecorator", "core/NoOp")
LEFT_OUT = "mutants/LeaveOutCall"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed place: `line` is where it stands, `before` and `after` are that line's text."""

    file: str
    line: int
    operator: str
    occurrence: int
    before: str = ""
    after: str = ""
    outcome: str = ""
    by: str = ""


def operators() -> dict[str, Any]:
    """cosmic-ray's operators by name, and ours, which leaves out a call made for its effect."""
    importlib.import_module("parso")  # before cosmic_ray, whose own order goes round in a circle
    plugins = importlib.import_module("cosmic_ray.plugins")
    base = importlib.import_module("cosmic_ray.operators.operator").Operator
    parso = importlib.import_module("parso.python.tree")

    class LeaveOutCall(base):
        def mutation_positions(self, node: Any) -> Iterator[Any]:
            if node.type == "simple_stmt" and node.children[0].type in ("atom_expr", "await"):
                yield node.children[0].start_pos, node.children[0].end_pos

        def mutate(self, node: Any, index: int) -> Any:
            call = node.children[0]
            prefix = call.get_first_leaf().prefix
            node.children[0] = parso.Keyword("pass", call.start_pos, prefix)
            return node

        @classmethod
        def examples(cls) -> tuple[()]:
            return ()

    chosen = {
        name: plugins.get_operator(name)()
        for name in sorted(plugins.operator_names())
        if not plugins.get_operator(name).arguments() and _is_wanted(name)
    }
    return {**chosen, LEFT_OUT: LeaveOutCall()}


def _is_wanted(name: str) -> bool:
    """Arithmetic turns into other arithmetic only: `a ** b` for `a + b` falls over at once."""
    if "BinaryOperator" in name:
        return name.endswith(("_Add", "_Sub", "_Mul", "_Div"))
    return name not in SKIPPED_OPERATORS


def mutants(files: list[Path], known: dict[str, Any]) -> dict[tuple[Any, ...], list[Mutant]]:
    """Each place of `files` with the mutants that it could have."""
    trees = importlib.import_module("cosmic_ray.ast")
    places: dict[tuple[Any, ...], list[Mutant]] = defaultdict(list)
    for file in files:
        quiet = _quiet(file.read_text(encoding="utf-8"))
        nodes = list(trees.ast_nodes(trees.get_ast_from_path(file)))
        for name, operator in known.items():
            spots = [spot for node in nodes for spot in operator.mutation_positions(node)]
            for occurrence, (start, end) in enumerate(spots):
                if not any(low <= start < high for low, high in quiet):
                    mutant = Mutant(str(file), start[0], name, occurrence)
                    places[str(file), start, end].append(mutant)
    return places


def _quiet(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The spans of annotations, of f-strings and of what is raised: no test is to pin words."""
    spans: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.arg() | ast.AnnAssign():
                spans.append(node.annotation)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                spans.append(node.returns)
            case ast.Raise():
                spans.append(node.exc)
            case ast.JoinedStr():
                spans.append(node)
            case _:
                pass
    return [
        ((span.lineno, span.col_offset), (span.end_lineno or 0, span.end_col_offset or 0))
        for span in spans
        if span is not None
    ]


def run(mutant: Mutant, operator: Any, stages: Stages, timeout_s: float) -> Mutant:
    """Write the mutant into the copy that is the working folder, run tests, put the file back."""
    mutating = importlib.import_module("cosmic_ray.mutating")
    path = Path(mutant.file)
    source = path.read_text(encoding="utf-8")
    changed = mutating.mutate_code(source, operator, mutant.occurrence)
    lines = list(difflib.ndiff(source.splitlines(), changed.splitlines()))
    before = " ".join(line[2:].strip() for line in lines if line.startswith("- "))
    after = " ".join(line[2:].strip() for line in lines if line.startswith("+ "))
    path.write_text(changed, encoding="utf-8")
    try:
        outcome, by = noticed(stages, timeout_s)
    finally:
        path.write_text(source, encoding="utf-8")
    at = (mutant.file, mutant.line, mutant.operator, mutant.occurrence)
    return Mutant(*at, before=before, after=after, outcome=outcome, by=by)


def noticed(stages: Stages, timeout_s: float) -> tuple[str, str]:
    """What the first stage to notice something says, else that the mutant survived."""
    for tests in stages:
        outcome, by = _tested(tests, timeout_s)
        if outcome != "survived":
            return outcome, by
    return "survived", ""


def _tested(tests: tuple[str, ...], timeout_s: float) -> tuple[str, str]:
    """Whether the tests noticed, and the first that did."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        child = os.fork()
        if child == 0:
            _pytest(tests, said.fileno())
        status = _ended(child, timeout_s)
        if status is None:
            return "timeout", ""
        said.seek(0)
        text = said.read()
    if status == 0:
        return "survived", ""
    failed = [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "killed", failed[0].split(" - ")[0] if failed else text[-300:].strip()


def _ended(child: int, timeout_s: float) -> int | None:
    """The status that `child` ends with; None when its time was up. It never stays behind."""
    ends = time.monotonic() + timeout_s
    try:
        while time.monotonic() < ends:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                child = 0
                return status
            time.sleep(0.05)
        return None
    finally:
        if child:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _pytest(tests: tuple[str, ...], output: int) -> None:
    """In a fork: run `tests` as a group of processes of its own, and end with pytest's status."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        hypothesis = importlib.import_module("hypothesis")
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]  # shrinking takes minutes
        hypothesis.settings.register_profile("noticed", phases=phases)
        hypothesis.settings.load_profile("noticed")
        pytest = importlib.import_module("pytest")
        quiet = "ignore:Module already imported"  # hypothesis is, by the parent
        options = ["-x", "-p", "no:cacheprovider", "-W", quiet, "-o", "timeout=60"]
        status = int(pytest.main([*options, *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def drawn(
    places: dict[tuple[Any, ...], list[Mutant]], known: dict[str, Any], sample: int, seed: int
) -> list[Mutant]:
    """Up to `sample` mutants, each of another place; a form of a class is none."""
    dice = random.Random(seed)
    chosen: list[Mutant] = []
    for place in dice.sample(sorted(places), len(places)):
        mutant = dice.choice(places[place])
        if len(chosen) < sample and _behaves(mutant, known):
            chosen.append(mutant)
    return chosen


def _behaves(mutant: Mutant, known: dict[str, Any]) -> bool:
    """Whether it is Python, and more than another `slots=` of a class: the `*` of a signature is an
    operator to cosmic-ray, and `==` with a literal turns into `is`."""
    mutating = importlib.import_module("cosmic_ray.mutating")
    source = Path(mutant.file).read_text(encoding="utf-8")
    if source.splitlines()[mutant.line - 1].startswith("@dataclass("):
        return False
    changed = mutating.mutate_code(source, known[mutant.operator], mutant.occurrence)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compile(changed, mutant.file, "exec")
    except (SyntaxError, SyntaxWarning):
        return False
    return True


def recorded(record: Path | None) -> dict[Mutant, str]:
    """What became of the mutants that ran before, by mutant."""
    if record is None or not record.exists():
        return {}
    read = [Mutant(**json.loads(line)) for line in record.read_text("utf-8").splitlines()]
    return {Mutant(one.file, one.line, one.operator, one.occurrence): one.outcome for one in read}


def copied(root: Path) -> Path:
    """A copy of what git knows of the checkout; the file it stands in is the caller's to delete."""
    copy = Path(tempfile.mkdtemp(prefix="mutants-"))
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in listed.split("\0"):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)
    return copy


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("area", choices=sorted(AREAS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--survivors", action="store_true", help="run those of the record again")
    parser.add_argument("--tests", nargs="*", help="run these instead of the nearest ones")
    parser.add_argument("--stages", type=int, help="run only so many stages of tests")
    parser.add_argument("--first-stage", type=int, default=0, help="leave out the ones before")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a mutant may take")
    parser.add_argument(
        "--json", type=Path, help="a record, a line each; what it has is not run again"
    )
    chosen = parser.parse_args()
    if importlib.util.find_spec("cosmic_ray") is None:
        raise SystemExit("cosmic-ray is not installed. Run: pip install cosmic-ray==8.7.0")
    record = chosen.json.absolute() if chosen.json else None
    before = recorded(record)
    copy = copied(Path.cwd())
    os.chdir(copy)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated"))  # the copy is deleted
    os.environ["PYTHONPATH"] = os.pathsep.join((str(copy), os.environ.get("PYTHONPATH", "")))
    sys.path[:] = [str(copy), *sys.path[1:]]
    # By their hash: two mutants of one second may be of one size, and pass for each other.
    checked = py_compile.PycInvalidationMode.CHECKED_HASH
    for package in ("orchestra", "graphs", "workers"):
        compileall.compile_dir(package, quiet=1, invalidation_mode=checked)
    for name in PRELOADED:
        importlib.import_module(name)
    try:
        known = operators()
        near = {
            file: stages
            for source, stages in AREAS[chosen.area].items()
            for file in (
                sorted(Path(source).rglob("*.py")) if Path(source).is_dir() else [Path(source)]
            )
        }
        places = mutants(list(near), known)
        sample = drawn(places, known, chosen.sample, chosen.seed)
        left = "survived" if chosen.survivors else None
        sample = [mutant for mutant in sample if before.get(mutant) == left]
        print(
            f"{chosen.area}: {len(sample)} of {len(places)} places, seed {chosen.seed}", flush=True
        )
        counts: Counter[str] = Counter()
        sound: set[tuple[str, ...]] = set()
        for mutant in sample:
            stages = (tuple(chosen.tests),) if chosen.tests else near[Path(mutant.file)]
            stages = stages[chosen.first_stage : chosen.stages]
            for tests in stages:
                if tests not in sound and _tested(tests, chosen.timeout)[0] != "survived":
                    raise SystemExit(f"Without a mutant {tests!r} fail. Mend them first.")
                sound.add(tests)
            done = run(mutant, known[mutant.operator], stages, chosen.timeout)
            counts[done.outcome] += 1
            print(f"{done.outcome:9} {done.file}:{done.line} {done.operator}", flush=True)
            print(f"    {done.before}\n    {done.after}\n    {done.by}", flush=True)
            if record is not None:
                with record.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(asdict(done)) + "\n")
        print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    finally:
        shutil.rmtree(copy)


if __name__ == "__main__":
    main()
