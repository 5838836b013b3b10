"""The engine that reads photos: PP-OCR finds and reads the lines, rules fill a schema from them.

Fields that no rule knows are read off the print by the reader of texts, and a brand is also told by
what the pack looks like, where the checkpoint names models for that (`asked.py`, `looks.py`).

Without a schema the answer is the text as it is printed. It reads no text beside the photo and
follows no instruction: what to read, the schema says. It writes no tokens, so its usage counts
photos and CPU time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from orchestra.core.call import Call, IsCancelled, OnText, Reply, Usage
from orchestra.core.errors import Cancelled, CheckpointInvalid, OrchestraError, UsageError
from workers.decoding.meter import PROCESS
from workers.reading.asked import PrintAsker
from workers.reading.brands import Looks
from workers.reading.fields import PackReader
from workers.reading.looks import BrandEye, PackTower
from workers.reading.printed import Words
from workers.reading.reader import NotWanted, Page, PhotoReader
from workers.reading.wanted import wanted_of
from workers.reading.weights import RESTORE, beside, load_reader
from workers.understanding.engine import UnderstandingEngine

WORDS = "words.json"
NO_TEXT = "no text was seen on the photo"
NOT_SAID = "what is printed on the photo does not say"


@dataclass(eq=False)
class ReadingEngine:
    """One reader in memory; see `orchestra.core.call.Engine` for the contract.

    Threads may call it at once: its sessions take turns.
    """

    reader: PhotoReader
    fields: PackReader
    asker: PrintAsker | None = None
    eye: BrandEye | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, checkpoint: Path | str, *, threads: int | None = None) -> ReadingEngine:
        """Load a folder that lists the networks and words of a reader.

        The reader of texts that it names is loaded at the first photo that needs it. Raises
        `CheckpointInvalid`, and `MissingExtra` without the package that has the networks.
        """
        folder = Path(checkpoint)
        reader, words = load_reader(folder, threads or 1), _words(folder)
        asks, sees = beside(folder, "reader"), beside(folder, "looks")
        asker = asks and PrintAsker(partial(UnderstandingEngine.load, asks, threads=threads))
        eye = sees and BrandEye(partial(PackTower.load, sees, threads or 1), words.brands)
        return cls(reader, PackReader(words), asker, eye)

    def count_tokens(self, call: Call) -> int:
        """None: a photo is read whole, and an instruction not at all."""
        return 0

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls` one after the other; see `Engine.generate`."""
        answers: list[Reply | OrchestraError] = []
        for row, call in enumerate(calls):
            try:
                with self._turn, PROCESS.measure() as spent:
                    page = self._page(call, row, is_cancelled)
                    looks = self._looks(call)
                reply = self._reply(call, page, looks, spent.cpu_s)
                if on_text is not None:
                    on_text(row, reply.text)
                answers.append(reply)
            except OrchestraError as error:
                answers.append(error)
        return answers

    def _page(self, call: Call, row: int, is_cancelled: IsCancelled | None) -> Page:
        if len(call.images) != 1:
            raise UsageError(
                f"A call of this model reads one photo, and this one has {len(call.images)}. Give "
                "each photo its own (each_photo), and ask nothing without one."
            )
        try:
            return self.reader.read(
                call.images[0], lambda: is_cancelled is None or not is_cancelled(row)
            )
        except NotWanted:
            raise Cancelled(f"Row {row} was cancelled. Call again if it is wanted.") from None

    def _looks(self, call: Call) -> Looks | None:
        """What the pack looks like, where its brand is asked for."""
        if self.eye is None or call.schema is None:
            return None
        is_asked = any(wanted.is_brand for wanted in wanted_of(call.schema))
        return self.eye.look(call.images[0]) if is_asked else None

    def _reply(self, call: Call, page: Page, looks: Looks | None, cpu_s: float) -> Reply:
        usage = Usage(images=1, cpu_s=cpu_s)
        if call.schema is None:
            text = "\n".join(line.text for line in page.believed)
            return Reply(text, text, usage=usage)
        found = self.fields.answer(page, call.schema, looks)
        if self.asker is not None and found.open and page.believed:
            with PROCESS.measure() as spent:
                found.merge(self.asker.answer(page, call.schema, found.open))
            usage = replace(usage, cpu_s=cpu_s + spent.cpu_s)
        why = NOT_SAID if page.believed else NO_TEXT
        if page.shrunk is not None:
            wide, high = page.shrunk
            why += f", of which {wide}x{high} pixels were read: smaller print is lost"
        return Reply(
            json.dumps(found.values, ensure_ascii=False),
            found.values,
            found.confidence,
            usage,
            abstained={name: why for name, value in found.values.items() if value is None},
            regions=found.regions,
            words=found.words,
            notes=found.notes,
        )


def _words(checkpoint: Path) -> Words:
    path = checkpoint / WORDS
    try:
        return Words.of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointInvalid(
            f"{str(path)!r} does not list the words of packs ({error!r}). {RESTORE}"
        ) from error
