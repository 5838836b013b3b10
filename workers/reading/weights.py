"""Finds PP-OCR's networks in the wheel that brings them, checks them and opens their sessions.

The wheel is never imported: its ONNX files are read where they lie, so that nothing of it logs,
prints or reaches for a network. Which files, and their hashes, a checkpoint's `reading.json` says.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from orchestra.core.errors import CheckpointInvalid, MissingExtra
from workers.reading.detector import Detector, Network
from workers.reading.reader import PhotoReader
from workers.reading.recogniser import Recogniser

LISTING = "reading.json"
NETWORKS = ("detector", "recogniser")
CHARACTERS = "character"  # the recogniser's own key for what it can read, one a line
RESTORE = "Restore the folder (git checkout)."


def load_reader(checkpoint: Path | str, threads: int = 1) -> PhotoReader:
    """The reader of a checkpoint folder; each network's session has `threads` threads.

    Raises `CheckpointInvalid` for a folder without a listing or a file that is not the one listed,
    and `MissingExtra` where the wheel is not installed.
    """
    listing = _listing(Path(checkpoint))
    folder = _wheel(str(listing["package"]), str(listing["version"]))
    detector = _session(_checked(folder, listing, "detector"), threads)
    recogniser = _session(_checked(folder, listing, "recogniser"), threads)
    return PhotoReader(
        Detector(_network(detector)), Recogniser(_network(recogniser), _characters(recogniser))
    )


def beside(checkpoint: Path, part: str) -> Path | None:
    """The folder that a listing names for `part`: "reader" of texts, or "looks" of packs."""
    named = _listing(checkpoint).get(part)
    return None if named is None else checkpoint / str(named)


def _listing(checkpoint: Path) -> Mapping[str, Any]:
    path = checkpoint / LISTING
    try:
        listing = json.loads(path.read_text(encoding="utf-8"))
        named = [listing[part][key] for part in NETWORKS for key in ("file", "sha256")]
        if not all(isinstance(each, str) for each in (*named, listing["package"])):
            raise TypeError(f"{named!r} are not all words")
    except FileNotFoundError as error:
        raise CheckpointInvalid(f"{str(path)!r} is missing. {RESTORE}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointInvalid(
            f"{str(path)!r} does not list the networks of a reader ({error!r}). {RESTORE}"
        ) from error
    return listing


def _wheel(package: str, version: str) -> Path:
    """The folder of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    places = [] if found is None else list(found.submodule_search_locations or ())
    if not places:
        raise MissingExtra(
            f"Reading photos needs the package {package!r}, which is not installed. "
            f"pip install '{package}=={version}', or 'orchestra-fleet[mini]'."
        )
    return Path(places[0])


def _checked(folder: Path, listing: Mapping[str, Any], part: str) -> Path:
    """The file of one network, whose content is the one that was listed."""
    path = folder / listing[part]["file"]
    cure = f"pip install --force-reinstall '{listing['package']}=={listing['version']}'."
    if not path.is_file():
        raise CheckpointInvalid(f"The {part} {str(path)!r} is missing. {cure}")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != listing[part]["sha256"]:
        raise CheckpointInvalid(
            f"The {part} {str(path)!r} has sha256 {found!r}, not {listing[part]['sha256']!r}: it "
            f"is damaged or of another version. {cure}"
        )
    return path


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # pictures differ in size: an arena would keep the largest
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _network(session: onnxruntime.InferenceSession) -> Network:
    name = session.get_inputs()[0].name

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {name: batch})[0])

    return run


def _characters(session: onnxruntime.InferenceSession) -> tuple[str, ...]:
    """What the recogniser can read, by its outputs after the blank; the last is a space."""
    listed = session.get_modelmeta().custom_metadata_map[CHARACTERS].removesuffix("\n").split("\n")
    return (*listed, " ")
