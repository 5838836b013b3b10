"""Renders a call as the chat prompt the checkpoints were trained on; knows no weights.

Product text is data: it stands between `<data>` marks, and nothing in it can end them or
open a chat turn, because every mark is broken before it is rendered. Sanitising keeps the
length, so that a span of the rendered text is at the same place in the original.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from orchestra.clients.engine import Call
from orchestra.graph.narrow import sanitise

# Half of a UTF-16 pair has no UTF-8, so no tokenizer takes it.
SURROGATE = re.compile(r"[\ud800-\udfff]")
DATA_OPEN, DATA_CLOSE = "\n<data>\n", "\n</data>"


@dataclass(slots=True)
class PromptWriter:
    """Renders and encodes calls with the chat template of one checkpoint.

    `image_block` is what stands for one image: the image token, as often as the vision
    tower gives tokens. Raises nothing; a prompt that is too long is found by the engine.
    """

    tokenizer: PreTrainedTokenizerFast
    image_block: str = ""
    _marks: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        specials = sorted(self.tokenizer.get_added_vocab(), key=len, reverse=True)
        self._marks = re.compile("|".join(map(re.escape, specials)) or r"(?!)")

    def data(self, text: str) -> str:
        """`text` as it is rendered: same length, no quotes, controls or special tokens."""
        return self._without_marks(sanitise(text))

    def encode(self, call: Call) -> list[int]:
        """Token ids of the whole prompt, up to where the answer begins."""
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": self._content(call)}],
            tokenize=False,
            add_generation_prompt=True,
        )
        return self.tokenizer.encode(str(rendered), add_special_tokens=False)

    def _content(self, call: Call) -> str:
        content = self.image_block * len(call.images) + self._without_marks(call.instruction)
        if call.text is None:
            return content
        return f"{content}{DATA_OPEN}{self.data(call.text)}{DATA_CLOSE}"

    def _without_marks(self, text: str) -> str:
        whole = SURROGATE.sub("\ufffd", text)
        return self._marks.sub(lambda mark: " " + mark.group()[1:], whole)
