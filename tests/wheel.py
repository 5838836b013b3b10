"""The wheel as a stranger installs it: built from this checkout, with what an extra brings alone.

What a requirement names is linked, file by file, from the environment that runs the tests, so no
package is fetched; what no requirement names is not there to be imported.
"""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Installed:
    """A virtual environment that holds the wheel, and a folder of its user's."""

    environment: Path
    home: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.environment / "bin" / "python"

    def run(self, *command: str | Path) -> str:
        """What a command of the environment prints on stdout, in the user's folder.

        It inherits nothing that leads to the checkout, and fails the test unless it ends with 0.
        """
        done = subprocess.run(
            [self.environment / "bin" / command[0], *command[1:]],
            capture_output=True, text=True, timeout=280, check=False, cwd=self.home,
            env={"PATH": os.defpath, "HOME": str(self.home), "LANG": "C.UTF-8"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def has(self, module: str) -> bool:
        """Whether `module` can be imported."""
        code = f"from importlib.util import find_spec; print(find_spec({module!r}) is not None)"
        return self.run("python", "-c", code).strip() == "True"


def build_wheel(folder: Path) -> Path:
    """The wheel, built by the backend that pyproject.toml names."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(
    wheel: Path, folder: Path, extras: Iterable[str] = (), beside: Sequence[str] = ()
) -> Installed:
    """`pip install 'WHEEL[extras]'` into a new environment below `folder`.

    `beside` are requirements of the user's own.
    """
    environment, home = folder / "environment", folder / "home"
    home.mkdir(parents=True)
    venv = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(venv, check=True, timeout=120)
    (place,) = environment.glob("lib/python*/site-packages")
    for distribution in _closure([*_requirements(wheel), *beside], frozenset(extras)):
        _link(distribution, place)
    installed = Installed(environment, home)
    pip = [sys.executable, "-m", "pip", "--python", str(installed.python), "install", "-q",
           "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]  # fmt: skip
    subprocess.run(pip, check=True, timeout=120)
    return installed


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(archive.read(name))
    return told.get_all("Requires-Dist", [])


def _closure(requirements: list[str], extras: frozenset[str]) -> list[metadata.Distribution]:
    """The distributions that `requirements` need with `extras`, and what those need in turn."""
    found: dict[str, metadata.Distribution] = {}
    asked: set[tuple[str, str]] = set()
    waiting = list(_wanted(requirements, extras))
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        distribution = metadata.distribution(name)
        assert wanted.specifier.contains(distribution.version, prereleases=True), str(wanted)
        found[name] = distribution
        for extra in {"", *wanted.extras}:
            if (name, extra) not in asked:
                asked.add((name, extra))
                waiting += _wanted(distribution.requires or [], frozenset({extra}))
    return list(found.values())


def _wanted(requirements: list[str], extras: frozenset[str]) -> Iterator[Requirement]:
    for text in requirements:
        requirement = Requirement(text)
        marker = requirement.marker
        here = [{**default_environment(), "extra": extra} for extra in {"", *extras}]
        if marker is None or any(marker.evaluate(dict(each)) for each in here):
            yield requirement


def _link(distribution: metadata.Distribution, place: Path) -> None:
    """Links its files into `place`; commands and what lies beside site-packages stay away."""
    for file in distribution.files or []:
        if ".." in file.parts:
            continue
        link = place.joinpath(*file.parts)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(Path(str(distribution.locate_file(file))))
