"""What users import: it is there, it is documented, and the drawn error tree is the real one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import orchestra
from orchestra.core import errors

# Ray is an extra: what is only imported with it is not walked.
NEEDS_RAY = frozenset({"orchestra.serving.deployment"})


def modules() -> list[ModuleType]:
    names = (info.name for info in pkgutil.walk_packages(orchestra.__path__, "orchestra."))
    return [importlib.import_module(name) for name in names if name not in NEEDS_RAY]


def public_members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Public functions and classes that `module` itself defines, and the classes' own methods."""
    for name, member in vars(module).items():
        defined_here = getattr(member, "__module__", None) == module.__name__
        # Pydantic puts what it makes of a generic class, as `Page[Entry]`, among a module's names.
        if name.startswith("_") or not name.isidentifier() or not defined_here:
            continue
        if inspect.isfunction(member):
            yield f"{module.__name__}.{name}", member
        if inspect.isclass(member):
            yield f"{module.__name__}.{name}", member
            if not getattr(member, "_is_protocol", False):
                yield from _public_methods(f"{module.__name__}.{name}", member)


def _public_methods(place: str, owner: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(owner).items():
        function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
        if not name.startswith("_") and inspect.isfunction(function):
            yield f"{place}.{name}", function


def test_public_names_are_sorted_and_can_be_imported() -> None:
    assert list(orchestra.__all__) == sorted(set(orchestra.__all__))
    for name in orchestra.__all__:
        assert getattr(orchestra, name) is not None
    assert set(dir(orchestra)) >= set(orchestra.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = orchestra.nothing_of_that_name


def test_every_module_says_in_its_first_line_what_it_does() -> None:
    silent = [
        module.__name__
        for module in modules()
        if not hasattr(module, "__path__") and not (module.__doc__ or "").strip()
    ]
    assert silent == []


def test_every_public_function_class_and_method_has_a_docstring() -> None:
    silent = [
        place
        for module in modules()
        for place, member in public_members(module)
        if not _says_something(member)
    ]
    assert silent == []


def _says_something(member: Any) -> bool:
    """Whether there is a docstring; the signature that dataclass puts there is none."""
    said = (member.__doc__ or "").strip()
    return bool(said) and not said.startswith(f"{member.__name__}(")


def test_the_walk_sees_functions_classes_and_methods() -> None:
    seen = {place for module in modules() for place, _ in public_members(module)}
    assert len(seen) > 200
    assert {
        "orchestra.core.job.Field.answered",
        "orchestra.core.ask.ask",
        "orchestra.core.job.Job",
    } <= seen


def drawn_tree() -> dict[str, str]:
    """Each error of the drawing at the top of core/errors.py, with the error it hangs from."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([\s|│├└─`-]*)([A-Z]\w+)(\s|$)", line)
        if match is None or "." in match.group(2) or not hasattr(errors, match.group(2)):
            continue
        depth, name = len(match.group(1)), match.group(2)
        while above and above[-1][0] >= depth:
            above.pop()
        if above:
            parents[name] = above[-1][1]
        above.append((depth, name))
    return parents


def test_the_drawn_error_tree_is_the_real_one() -> None:
    real = {
        name: member.__bases__[0].__name__
        for name, member in vars(errors).items()
        if inspect.isclass(member) and issubclass(member, errors.OrchestraError)
        if name != "OrchestraError"
    }
    assert drawn_tree() == real
    assert all(issubclass(getattr(errors, name), errors.OrchestraError) for name in real)


def test_an_error_is_called_by_its_type_and_says_whether_to_try_again() -> None:
    assert errors.ImageTooLarge("x").kind == "ImageTooLarge"
    assert errors.ModelUnavailable("x").retryable
    assert not errors.InvalidBudget("x").retryable
