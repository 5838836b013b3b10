"""Takes a job in: photos as content hashes, clean text, its language; calls no model.

A photo that cannot be read, or not in time, is an error of its own, and the job goes on without it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from langchain_core.messages import HumanMessage
from langgraph.graph.state import CompiledStateGraph
from PIL import Image

from orchestra.access.principal import principal
from orchestra.core.errors import DeadlineExceeded, ImageError, ImageUnavailable, UsageError
from orchestra.core.job import ErrorRecord, Job
from orchestra.core.text import sanitise
from orchestra.core.text_limits import check_text
from orchestra.core.values import CJK
from orchestra.graph.backing import Backing
from orchestra.images.discreet import told_of
from orchestra.images.fetch import is_fetched
from orchestra.images.intake import read_photo
from orchestra.images.naming import shown, shown_end
from orchestra.images.patience import pause_s
from orchestra.images.politeness import HostTurns
from orchestra.images.store import KEY
from orchestra.quality.learned.expected import Expectations
from orchestra.routing.candidates import JobShape

# Servers that are slow to send photos hold up others who fetch, not photos that are here already.
FETCHES = ThreadPoolExecutor(16, "photo-fetch")
TURNS = HostTurns()
LANGUAGE_CHARS = 20_000  # of a text tell which language it is in
EXPECTED_CHARS = 65_536  # of a text tell how well models will read it
NAME_CHARS = 60  # of a photo in a note: the end of a long one tells most


@dataclass(frozen=True, slots=True)
class Intake:
    """A job whose images are content hashes, and the errors of the images left out.

    `seconds` were spent on that, and are not left for the models. `photos` are only held, so that
    the store has them until the job ends, however many others come meanwhile. `expected` is how
    well models will answer the text, where the fleet's policy learnt that. `notes` say what was
    mended in photos, or left out of their files.
    """

    job: Job
    errors: tuple[ErrorRecord, ...] = ()
    seconds: float = 0.0
    photos: tuple[Image.Image, ...] = field(default=(), compare=False, repr=False)
    expected: Expectations = ()
    notes: tuple[str, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Whether every image failed and there is no text, so nothing can be done."""
        return bool(self.errors) and not self.job.images and not (self.job.text or "").strip()

    @property
    def shape(self) -> JobShape:
        """What the planner needs of it."""
        text = len((self.job.text or "").strip().encode())
        local_only = self.job.data == "local"
        return JobShape(text, len(self.job.images), local_only, self.expected)


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo to be taken in: its source, the folder of a relative one, whether it stays fine."""

    source: str
    base: Path | None
    fine: bool


class _Taken(NamedTuple):
    """A photo in the store."""

    key: str
    image: Image.Image
    notes: tuple[str, ...] = ()


async def take_in(
    fleet: Backing, job: Job, base: Path | None = None, *, fine: bool = False
) -> Intake:
    """Normalise and store the job's images; a bad one is an error for that image alone.

    They are kept `fine` where a node reads their print; other nodes see them smaller.
    So is one that does not arrive before the job's deadline; one that its server cannot give now is
    asked for again until then. Photos are brought side by side; what was mended in one is noted.
    Raises `UsageError` for more photos than a job may have, and `TextTooLong`.
    """
    most = fleet.image_limits.max_photos
    if len(job.images) > most:
        raise UsageError(f"The job has {len(job.images)} photos; the limit is {most}. Send fewer.")
    check_text(job.text)
    started = time.monotonic()
    limit_ms = job.budget.latency_ms
    ends_at = None if limit_ms is None else started + limit_ms / 1000
    photos = [_Photo(source, base, fine) for source in job.images]
    found = await asyncio.gather(*(_kept_or_error(fleet, photo, ends_at) for photo in photos))
    kept = [(at, one) for at, one in enumerate(found) if not isinstance(one, ErrorRecord)]
    text = None if job.text is None else sanitise(job.text)
    language = language_of(text) if job.language == "auto" else job.language
    taken = {
        "images": tuple(one.key for _, one in kept),
        "roles": tuple(job.roles[at] for at, _ in kept) if job.roles else (),
    }
    done = job.model_copy(update={**taken, "text": text, "language": language})
    return Intake(
        done,
        tuple(one for one in found if isinstance(one, ErrorRecord)),
        time.monotonic() - started,
        tuple(one.image for _, one in kept),
        await _expected(fleet, text),
        (*principal().notes, *_mended(job, kept)),
    )


def _mended(job: Job, kept: Sequence[tuple[int, _Taken]]) -> Iterator[str]:
    """What was mended in photos."""
    for at, one in kept:
        yield from (f"photo {_named(job, at)}: {note}" for note in one.notes)


def _named(job: Job, at: int) -> str:
    """A photo of a job as a note names it: by its place, where there are several, and its name."""
    place = f"{at + 1} of {len(job.images)} " if len(job.images) > 1 else ""
    return place + shown_end(job.images[at], NAME_CHARS)


async def _kept_or_error(
    fleet: Backing, photo: _Photo, ends_at: float | None
) -> _Taken | ErrorRecord:
    """A photo, or what is wrong with it."""
    try:
        return await _patiently(fleet, photo, ends_at)
    except ImageError as error:
        return ErrorRecord.of("images", told_of(error, photo.source, fleet.image_limits))
    except DeadlineExceeded as error:
        return ErrorRecord.of("images", error)


async def _expected(fleet: Backing, text: str | None) -> Expectations:
    """What is expected of the text; read by an encoder, which the loop does not wait for."""
    if not text or fleet.policy is None or not fleet.policy.routing:
        return ()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, fleet.expected_of, text.strip()[:EXPECTED_CHARS])


async def _patiently(fleet: Backing, photo: _Photo, ends_at: float | None) -> _Taken:
    """A photo, asked for again while its server cannot give it.

    Raises `ImageError`, or `DeadlineExceeded` after `ends_at`.
    """
    tried, waited_s = 0, 0.0
    while True:
        tried += 1
        try:
            return await _in_time(fleet, photo, _left_s(ends_at))
        except ImageUnavailable as error:
            pause = pause_s(error, tried, waited_s, _left_s(ends_at), fleet.image_limits)
            if pause is None:
                raise
            TURNS.rest(photo.source, error.again_s or 0.0, fleet.image_limits)
        await asyncio.sleep(pause)  # no thread waits with it
        waited_s += pause


def _left_s(ends_at: float | None) -> float | None:
    return None if ends_at is None else ends_at - time.monotonic()


async def _in_time(fleet: Backing, photo: _Photo, left_s: float | None) -> _Taken:
    """A photo, when its server's turn has come. Raises `ImageError`, or `DeadlineExceeded` after
    `left_s`."""
    threads = FETCHES if is_fetched(photo.source) else None
    keep = functools.partial(_keep, fleet, photo)
    try:
        async with asyncio.timeout(left_s), TURNS.turn(photo.source, fleet.image_limits):
            return await asyncio.get_running_loop().run_in_executor(threads, keep)
    except TimeoutError:
        raise DeadlineExceeded(
            f"The deadline passed before the image {shown(photo.source, 60)} was read. Raise "
            "latency_ms, or send the photo itself instead of its address."
        ) from None


def _keep(fleet: Backing, photo: _Photo) -> _Taken:
    """Both steps in one turn of a thread: the way back between them costs more than they do."""
    source, limits = photo.source, fleet.image_limits
    if KEY.fullmatch(source) and source in fleet.images:
        return _Taken(source, fleet.images.get(source))  # a node sends on what its job brought
    found = read_photo(
        source, base=photo.base, limits=limits, fine=photo.fine, downloads=fleet.downloads
    )
    return _Taken(*fleet.images.keep(found.image, found.file), found.notes)


def language_of(text: str | None) -> Literal["en", "zh"]:
    """The language to write in for a text: Chinese when a tenth of its first letters are."""
    letters = [char for char in (text or "")[:LANGUAGE_CHARS] if char.isalpha()]
    chinese = sum(1 for char in letters if CJK.match(char))
    return "zh" if chinese * 10 >= max(1, len(letters)) else "en"


def first_state(
    graph: CompiledStateGraph[Any, Any, Any, Any], job: Job, raw_job: dict[str, Any]
) -> dict[str, Any]:
    """What a graph is given: the job and, where its state has messages, the job as one.

    So an agent that was written for messages runs as a job, whatever else its state holds.
    """
    state: dict[str, Any] = {}
    if "job" in graph.channels:
        state["job"] = raw_job
    if "messages" in graph.channels:
        photos = [{"type": "image_url", "image_url": {"url": key}} for key in job.images]
        said = [{"type": "text", "text": job.text}] if job.text else []
        state["messages"] = [HumanMessage([*photos, *said] if photos else job.text or "")]
    return state or {"job": raw_job}
