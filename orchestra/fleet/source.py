"""Finds fleets, graphs and recipes by name or path; it does not know what is in them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestra.core import shipped
from orchestra.core.card import FleetFile, parse_fleet
from orchestra.core.errors import InvalidFleet, InvalidGraph
from orchestra.core.files.yaml_file import load_yaml
from orchestra.core.spelling import did_you_mean, nearest
from orchestra.fleet.fitted import latency_path, with_fitted

# ${NAME}, ${NAME:-default}, and $${ for a "${" that is meant.
VARIABLE = re.compile(r"\$(\$\{)|\$\{([^}]*)\}")
REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def load_fleet(name: str) -> tuple[FleetFile, Path]:
    """The fleet called `name` (an entry point, or a path to YAML) and the folder it stands in.

    `${NAME:-default}` in a value stands for the environment variable NAME. Latencies that
    `orchestra refit` wrote beside the file are the models'. Raises `InvalidFleet`
    when there is no such fleet, or when it does not validate.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    else:
        points = {point.name: point for point in metadata.entry_points(group="orchestra.fleets")}
        if name not in points:
            raise InvalidFleet(
                f"There is no fleet {name!r} (there are: {', '.join(sorted(points))}; "
                f"or give the path of a .yaml file).{_meant(name, points)}"
            )
        path = _shipped(points[name])
    raw = _expanded(load_yaml(path, what="fleet", error=InvalidFleet), path, "")
    beside = latency_path(path)
    if beside.exists():
        fitted = load_yaml(beside, what="file of latencies", error=InvalidFleet)
        raw = with_fitted(raw, fitted, beside)
    return parse_fleet(raw, origin=str(path)), path.parent


def _expanded(raw: Any, path: Path, place: str) -> Any:
    """`raw` with the environment variables that its strings name; keys stay as they are.

    Values are read after YAML is, so that a variable is one value whatever it holds.
    """
    if isinstance(raw, dict):
        return {key: _expanded(value, path, f"{place}.{key}") for key, value in raw.items()}
    if isinstance(raw, list):
        return [_expanded(value, path, f"{place}[{at}]") for at, value in enumerate(raw)]
    if not isinstance(raw, str):
        return raw
    return VARIABLE.sub(lambda found: _variable(found, path, place.lstrip(".")), raw)


def _variable(found: re.Match[str], path: Path, place: str) -> str:
    if found[1] is not None:
        return "${"
    reference = REFERENCE.fullmatch(found[2])
    if reference is None:
        raise InvalidFleet(
            f"{path}: {place} holds {found[0]!r}, which names no environment variable. Write "
            "${NAME} or ${NAME:-default}, and $${ for a ${ that is meant."
        )
    value = os.environ.get(reference[1]) or reference[2]
    if value is None:
        raise InvalidFleet(
            f"{path}: {place} needs the environment variable {reference[1]!r}, which is not set. "
            f"Set it: export {reference[1]}=..., or give a default: ${{{reference[1]}:-value}}."
        )
    return value


def _shipped(point: metadata.EntryPoint) -> Path:
    """The YAML file that an entry point names as `package:file`."""
    folder = shipped.source(point.module)
    if folder is not None:
        return folder / point.attr
    try:
        return Path(str(resources.files(point.module).joinpath(point.attr)))
    except ImportError as cause:
        raise InvalidFleet(_not_imported(point.module, cause)) from cause


def load_graph(name: str) -> Callable[..., Any]:
    """The build function called `name`: an entry point, `module:function` or `file.py:function`.

    Raises `InvalidGraph` when it is not there, or hidden by a module of the same name.
    """
    if ":" in name:
        return _attribute(name)
    points = {point.name: point for point in metadata.entry_points(group="orchestra.graphs")}
    if name not in points:
        raise InvalidGraph(
            f"There is no graph {name!r} (there are: {', '.join(sorted(points))}; "
            f"or give module:function or file.py:function).{_meant(name, points)}"
        )
    point = points[name]
    return _callable(_module(point.module, shipped.load), point.module, point.attr)


def graph_place(build: Callable[..., Any]) -> str | None:
    """The name by which `load_graph` finds `build` in another process on the same files.

    None for one that is not at the top of a module, or in a module that only this process has.
    """
    module, name = getattr(build, "__module__", ""), getattr(build, "__qualname__", "")
    if module.endswith(".py"):  # loaded from a file, again at each look-up
        found = getattr(sys.modules.get(module), name, None)
        return f"{module}:{name}" if callable(found) else None
    if module == "__main__":
        return None
    plain = shipped.plain(module)
    if plain != module and not shipped.is_overridden(plain):
        module = plain  # as it is recorded where nothing hides it
    try:
        return f"{module}:{name}" if load_graph(f"{module}:{name}") is build else None
    except InvalidGraph:
        return None


def _attribute(place: str) -> Callable[..., Any]:
    module_name, _, attribute = place.rpartition(":")
    if module_name.endswith(".py"):
        return _callable(_file_module(module_name), module_name, attribute)
    # A name that is written out means the user's own module, where there is one.
    is_theirs = shipped.source(module_name) is None or shipped.is_overridden(module_name)
    load = importlib.import_module if is_theirs else shipped.load
    return _callable(_module(module_name, load), module_name, attribute)


def _callable(module: ModuleType, name: str, attribute: str) -> Callable[..., Any]:
    found = getattr(module, attribute, None)
    if not callable(found):
        raise InvalidGraph(
            f"{f'{name}:{attribute}'!r} is not a build function: {name} has no callable "
            f"{attribute!r}.{_meant(attribute, _own_names(module))}"
        )
    return found


def _module(name: str, load: Callable[[str], ModuleType]) -> ModuleType:
    try:
        return load(name)
    except (ImportError, SyntaxError, ValueError) as cause:
        raise InvalidGraph(_not_imported(name, cause)) from cause


def _not_imported(name: str, cause: Exception) -> str:
    """Why a module cannot be imported, and what to do; a package that hides it is named."""
    missing = cause.name or "" if isinstance(cause, ModuleNotFoundError) else None
    top = name.partition(".")[0]
    hidden = getattr(sys.modules.get(top), "__file__", None)
    if missing is not None and missing.partition(".")[0] == top and hidden:
        cure = (
            f"{hidden} is the package of that name here. What ships with Orchestra is "
            f"{shipped.PREFIX}{top} beside it"
        )
    elif missing is not None and missing.partition(".")[0] == top:
        near = _module_near(missing)
        cure = f"Did you mean {near!r}" if near else "Check the name, and that it can be imported"
    elif missing:
        cure = f"Install what brings {missing!r}"
    else:
        cure = "Mend the module"
    end = "?" if cure.startswith("Did you") else "."
    return f"The module {name!r} cannot be imported: {cause}. {cure}{end}"


def _meant(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else ""


def _own_names(module: ModuleType) -> list[str]:
    """What a module defines itself and can be called, its private names left out."""
    return [
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]


def _module_near(name: str) -> str | None:
    """The module that `name` is a misspelling of, among those that stand where it would."""
    above, _, last = name.rpartition(".")
    try:
        places = list(importlib.import_module(above).__path__) if above else sys.path
    except (ImportError, AttributeError):
        return None
    stems = {
        file.stem
        for place in places
        if Path(place or ".").is_dir()
        for file in Path(place or ".").iterdir()
        if file.is_dir() or file.suffix == ".py"
    }
    near = nearest(last, (stem for stem in sorted(stems) if stem.isidentifier()))
    return f"{above}.{near}" if above and near else near


def _file_module(path: str) -> ModuleType:
    file = Path(path).resolve()
    if not file.is_file():
        near = nearest(file.name, (beside.name for beside in file.parent.glob("*.py")))
        cure = f"Did you mean {str(Path(path).parent / near)!r}?" if near else "Check the path."
        raise InvalidGraph(f"There is no file {path!r}. {cure}")
    # Its path is its name: two files called shop.py are two modules, json.py is not the json of
    # the standard library, and `<module>:<function>` finds the graph again (`show --rerun`).
    name = str(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidGraph(f"{path!r} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as cause:
        del sys.modules[name]
        raise InvalidGraph(_not_imported(path, cause)) from cause
    return module


def load_worker(place: str) -> Any:
    """The class named `module:Class` on a card.

    Raises `InvalidFleet` for one that there is not, or that cannot be imported.
    """
    module, _, name = place.partition(":")
    if not module or not name.isidentifier():
        raise InvalidFleet(
            f"The worker {place!r} of a card names no class. Write module:Class, as in "
            "'my_worker:Classifier'."
        )
    try:
        return shipped.attribute(place)
    except AttributeError as cause:
        if not isinstance(cause.obj, ModuleType) or cause.name != name:
            raise InvalidFleet(_no_worker(place, module, cause)) from cause
        raise InvalidFleet(
            f"The worker {place!r} of a card is not there: {module} has no {name!r}. "
            f"{did_you_mean(name, _own_names(cause.obj))}"
        ) from cause
    except Exception as cause:  # the module is foreign code, and raises what it likes
        raise InvalidFleet(_no_worker(place, module, cause)) from cause


def _no_worker(place: str, module: str, cause: Exception) -> str:
    """Why a worker's module cannot be imported; what ships with Orchestra may need an extra."""
    missing = cause.name or "" if isinstance(cause, ModuleNotFoundError) else ""
    is_ours = shipped.source(module) is not None
    if is_ours and missing and missing.partition(".")[0] not in shipped.PACKAGES:
        extra = "local" if missing.partition(".")[0] in ("torch", "transformers") else "mini"
        cure = f"Install the extra it needs: pip install 'orchestra-fleet[{extra}]'."
        return f"The worker {place!r} of a card cannot be loaded: {cause}. {cure}"
    return f"The worker {place!r} of a card cannot be loaded. {_not_imported(module, cause)}"
