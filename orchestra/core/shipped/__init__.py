"""Finds the graphs and workers that ship with Orchestra, whatever a user's own folders are called.

`graphs` and `workers` are namespace packages, so that a user's folder of that name joins them. A
user's regular package, a file `workers.py`, or a module called as one of ours would hide them
instead. Then ours load under a name that nothing hides: `orchestra.core.shipped.workers.engine` is
`workers/engine.py` of this installation, and its imports of `workers` and `graphs` lead to the
same place. The user's own modules keep their plain names, in the same process.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

PACKAGES = ("graphs", "workers")
ROOT = Path(__file__).resolve().parents[3]  # site-packages, or a checkout
PREFIX = f"{__name__}."


def source(name: str) -> Path | None:
    """The file or folder of the shipped module called `name`; None for what is not shipped."""
    parts = plain(name).split(".")
    if parts[0] not in PACKAGES or not all(part.isidentifier() for part in parts):
        return None
    place = ROOT.joinpath(*parts)
    return next((path for path in (place.with_suffix(".py"), place) if path.exists()), None)


def plain(name: str) -> str:
    """The name that a shipped module has where nothing hides it."""
    return name.removeprefix(PREFIX)


def is_overridden(name: str) -> bool:
    """Whether Python takes the module called `name`, as one of ours is, from a user's own file."""
    found = _found(name)
    return found is not None and found.resolve() != source(name)


def load(name: str) -> ModuleType:
    """The module called `name`: the shipped one, if there is one, else as Python finds it.

    Raises what importing it raises.
    """
    file = source(name)
    if file is None or name != plain(name):
        return import_module(name)
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is not None and Path(loaded).resolve() == file:
        return import_module(name)  # another thread may still be at its first lines
    return import_module(PREFIX + name if _is_hidden(name) else name)


def attribute(place: str) -> Any:
    """What `module:name` names: ours where a shipped module has it, else as Python finds it.

    Raises what importing the module raises, and `AttributeError`.
    """
    module, _, name = place.partition(":")
    return getattr(load(module) if _is_ours(module, name) else import_module(module), name)


def origin(place: str) -> Path | None:
    """The file that `attribute` takes `module:name` from; None where there is none.

    The module is not imported for it. Raises `ImportError` and `ValueError` as `find_spec` does.
    """
    module, _, name = place.partition(":")
    if _is_ours(module, name):
        return source(module)
    spec = find_spec(module)
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _is_ours(module: str, name: str) -> bool:
    """Whether a shipped file has `name` at its top; a user's module of that name has others."""
    file = source(module)
    if file is None or not file.is_file():
        return False
    return any(name in _names(node) for node in ast.parse(file.read_bytes()).body)


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _found(name: str) -> Path | None:
    """The file that Python imports for `name`; nothing is imported to find out, since a user's
    package may do anything when it is."""
    top, *rest = name.split(".")
    spec = _top(top)
    if spec is None:
        return None
    file, places = spec.origin, [Path(place) for place in spec.submodule_search_locations or ()]
    for part in rest:
        folders: list[Path] = []
        file = None
        for place in places:
            package, module = place / part / "__init__.py", place / f"{part}.py"
            if package.is_file() or module.is_file():
                file = str(package if package.is_file() else module)
                folders = [place / part] if package.is_file() else []
                break
            if (place / part).is_dir():
                folders.append(place / part)
        places = folders
    return None if file is None else Path(file)


def _top(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ValueError:  # a module without a spec, as a test's or a notebook's own
        return None


def _is_hidden(name: str) -> bool:
    """Whether Python takes the package of `name`, or any module of it, from another place."""
    top = name.partition(".")[0]
    spec = _top(top)
    if spec is None or spec.submodule_search_locations is None or spec.origin is not None:
        return True
    ours, places = ROOT / top, [Path(place) for place in spec.submodule_search_locations]
    resolved = [place.resolve() for place in places]
    if ours not in resolved:
        return True
    at = resolved.index(ours)
    return any(_clash(place, ours) for place in places[:at]) or any(
        _clash(place, ours, comes_first=False) for place in places[at + 1 :]
    )


def _clash(place: Path, ours: Path, *, comes_first: bool = True) -> bool:
    """Whether `place` has a module that Python takes over one of ours.

    One that is looked into later hides folders of ours: a module or a regular package there is
    taken over a folder without `__init__.py` that was met before.
    """
    names: set[Path] = set()
    for path in ours.rglob("*"):
        relative = path.relative_to(ours)
        if path.is_dir() and (comes_first or not (path / "__init__.py").exists()):
            names |= {relative / "__init__.py", relative.with_suffix(".py")}
        elif path.suffix == ".py" and comes_first:
            names |= {relative, relative.with_suffix("") / "__init__.py"}
    return any((place / name).exists() for name in names)


class _Finder:
    """Finds `orchestra.core.shipped.<name>` in the file of the shipped module called `name`."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = source(fullname) if fullname.startswith(PREFIX) else None
        if file is None:
            return None
        if file.suffix == ".py":
            return spec_from_file_location(fullname, file, loader=_Loader(fullname, str(file)))
        init = file / "__init__.py"
        if init.exists():
            loader = _Loader(fullname, str(init))
            return spec_from_file_location(
                fullname, init, loader=loader, submodule_search_locations=[str(file)]
            )
        namespace = ModuleSpec(fullname, None, is_package=True)
        namespace.submodule_search_locations = [str(file)]
        return namespace


class _Loader(SourceFileLoader):
    """Compiles a shipped file with its imports led to the shipped modules; keeps no bytecode,
    which would stand where that of the plain module does."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the module."""
        file = self.get_filename(fullname)
        tree = _Led().visit(ast.parse(self.get_data(file), file))
        return compile(tree, file, "exec", dont_inherit=True)


class _Led(ast.NodeTransformer):
    """`from workers.x import y` becomes `from orchestra.core.shipped.workers.x import y`."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.level == 0 and (node.module or "").partition(".")[0] in PACKAGES:
            node.module = f"{PREFIX}{node.module}"
        return node


sys.meta_path.insert(0, _Finder)
