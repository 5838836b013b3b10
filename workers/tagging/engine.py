"""The engine of what `orchestra finetune` learnt: reads a user's fields off a text, on one core.

It answers a schema's properties that were learnt; the others are None, with the reason. It holds no
conversation and needs neither torch nor a decoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestra.core.call import Call, IsCancelled, OnText, Reply
from orchestra.core.errors import Cancelled, InvalidSchema, OrchestraError, UsageError
from orchestra.core.usage import Usage
from workers.decoding.meter import PROCESS
from workers.tagging.encoded import encoded_all
from workers.tagging.reader import TaughtReader
from workers.tagging.store import load
from workers.tagging.tagger import TaggedValue
from workers.tagging.tokens import tokens_of
from workers.tagging.typed import fitted

UNLEARNT = "the model did not learn this field; its card names those that it did"


class TaggerEngine:
    """A reader in memory; see `orchestra.core.call.Engine` for the contract."""

    trainer = "workers.tagging.training:train"

    def __init__(self, reader: TaughtReader) -> None:
        self._reader = reader

    @classmethod
    def load(cls, checkpoint: Path | str, *, threads: int | None = None) -> TaggerEngine:
        """Load a folder that `workers.tagging.store` wrote. Raises CheckpointInvalid."""
        return cls(load(Path(checkpoint)))

    def count_tokens(self, call: Call) -> int:
        """The tokens of the text that is read."""
        return len(tokens_of(_text(call)))

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls`; see `Engine.generate`."""
        answers: list[Reply | OrchestraError] = []
        if self._reader.encodes:
            encoded_all([_text(call) for call in calls])  # in one batch; each is then at hand
        for row, call in enumerate(calls):
            try:
                if is_cancelled is not None and is_cancelled(row):
                    raise Cancelled(f"Row {row} was cancelled. Call again if it is wanted.")
                reply = self._answer(call)
            except OrchestraError as error:
                answers.append(error)
                continue
            answers.append(reply)
            if on_text is not None:
                on_text(row, reply.text)
        return answers

    def _answer(self, call: Call) -> Reply:
        if call.images:
            raise UsageError(
                f"This model reads texts, but the call has {len(call.images)!r} images. Ask "
                "without photos."
            )
        if call.schema is None or not call.schema.get("properties"):
            raise InvalidSchema(
                "This model fills fields, and the call has no schema. Ask with one (the card names "
                "the fields), or ask a model that writes."
            )
        properties: Mapping[str, Any] = call.schema["properties"]
        text = _text(call)
        with PROCESS.measure() as spent:
            found = self._reader.read(text, asked=list(properties))
        value, confidence, abstained = {}, {}, {}
        for name, shape in properties.items():
            read: Sequence[TaggedValue] = found.get(name, ())
            value[name] = fitted(read, shape, call.schema)
            if value[name] not in (None, []):
                confidence[name] = min(one.probability for one in read)
            elif name not in self._reader.fields:
                abstained[name] = UNLEARNT
        written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        usage = Usage(len(tokens_of(text)), len(tokens_of(written)), cpu_s=spent.cpu_s)
        return Reply(written, value, confidence, usage, abstained=abstained)


def _text(call: Call) -> str:
    return call.instruction if call.text is None else call.text
