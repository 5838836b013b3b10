"""Renders a call as the chat prompt that its checkpoint was trained on; knows no weights.

A schema stands in it where the call says so: public models know none but those they read.

The checkpoint's own chat template does the rendering. Product text is data: it stands between
`<data>` marks, and nothing in it can end them or open a chat turn, because every mark is broken
before it is rendered. Sanitising keeps the length, so that a span of the rendered text is at
the same place in the original.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError

from orchestra.clients.endpoint_schema import schema_words
from orchestra.core.call import Call, Turn
from orchestra.core.errors import CheckpointInvalid, UsageError
from orchestra.core.text import sanitise
from workers.loading.tokens import marks

# Half of a UTF-16 pair has no UTF-8, so no tokenizer takes it.
SURROGATE = re.compile(r"[\ud800-\udfff]")
DATA_OPEN, DATA_CLOSE = "\n<data>\n", "\n</data>"
SYSTEM_ROLE = re.compile(r"""['"]system['"]""")
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
PROBE = "orchestra probe"
Message = dict[str, Any]


@dataclass(slots=True)
class PromptWriter:
    """Renders and encodes calls with the chat template of one checkpoint.

    `image_mark` is the token that the template writes for an image, `image_block` what stands
    there in the prompt: the mark as often as the vision tower gives tokens, with what the
    checkpoint puts around it. `preamble` stands before what the template renders.

    `thinks` says whether the template always opens `<think>`, as DeepSeek-R1's does: the answer
    then begins after `</think>`. Raises CheckpointInvalid for a template that renders no text.
    """

    tokenizer: Any  # an AnyTokenizer
    image_mark: str = ""
    image_block: str = ""
    preamble: str = ""
    thinks: bool = field(init=False)
    _marks: re.Pattern[str] = field(init=False)
    _in_parts: bool = field(init=False)
    _takes_system: bool = field(init=False)
    _opening: list[int] = field(init=False)
    _last: tuple[Call, str] | None = field(default=None, init=False)  # what was rendered last

    def __post_init__(self) -> None:
        steering = sorted(marks(self.tokenizer), key=len, reverse=True)
        self._marks = re.compile("|".join(map(re.escape, steering)) or r"(?!)")
        parts = {"role": "user", "content": [{"type": "text", "text": PROBE}]}
        plain = {"role": "user", "content": PROBE}
        self._in_parts = self._shows_probe([parts])
        if not self._in_parts and not self._shows_probe([plain]):
            raise CheckpointInvalid(
                "The chat template renders no user message, neither a text nor a list of parts. "
                "Use the template that belongs to these weights."
            )
        user = parts if self._in_parts else plain
        rendered = self._render([user])
        self.thinks = rendered.rstrip().endswith(THINK_OPEN)
        self._opening = self._unrendered_opening(rendered)
        self._takes_system = not self.thinks and self._knows_system(user)

    def opens_thought(self, call: Call) -> bool:
        """Whether the prompt of `call` ends with `<think>`: a template may do so only if asked."""
        if self.thinks or THINK_OPEN not in str(self.tokenizer.get_chat_template()):
            return self.thinks
        return self._rendered(call).rstrip().endswith(THINK_OPEN)

    def data(self, text: str) -> str:
        """`text` as it is rendered: same length, no quotes, controls or special tokens."""
        return self._without_marks(sanitise(text))

    def encode(self, call: Call) -> list[int]:
        """Token ids of the whole prompt, up to where the answer begins.

        Raises UsageError when the template refuses the order of the turns.
        """
        try:
            rendered = self._rendered(call)
        except TemplateError as error:
            roles = [turn.role for turn in call.turns]
            raise UsageError(
                f"The model's chat template refuses turns of the roles {roles!r} before the "
                f"instruction: {error}. Let user and assistant alternate, beginning with user."
            ) from error
        if self.image_mark:
            rendered = rendered.replace(self.image_mark, self.image_block)
        whole = self.preamble + rendered
        return self._opening + self.tokenizer.encode(whole, add_special_tokens=False)

    def _rendered(self, call: Call) -> str:
        """The text of `call`; what its opening and its tokens are asked of is one call's."""
        last = self._last
        if last is None or last[0] is not call:
            self._last = last = (call, self._render(self._messages(call)))
        return last[1]

    def _messages(self, call: Call) -> list[Message]:
        turns, told = self._folded(call.turns)
        instruction = self._without_marks(call.instruction)
        if told and not any(turn.role == "user" for turn in turns):
            instruction, told = f"{told}\n\n{instruction}", ""
        messages = []
        for turn in turns:
            text = self._without_marks(_answer_only(turn))
            if told and turn.role == "user":
                text, told = f"{told}\n\n{text}", ""
            messages.append(self._message(turn.role, text))
        if call.text is not None:
            instruction = f"{instruction}{DATA_OPEN}{self.data(call.text)}{DATA_CLOSE}"
        if call.schema is not None and call.schema_in_prompt:
            # Its choices may be words of the text, so that marks are broken here, too.
            instruction = f"{instruction}\n\n{self._without_marks(schema_words(call.schema))}"
        return [*messages, self._message("user", instruction, images=len(call.images))]

    def _folded(self, turns: Sequence[Turn]) -> tuple[list[Turn], str]:
        """The turns to render, and the system's words that have to join the first user's."""
        if self._takes_system:
            return list(turns), ""
        told = [self._without_marks(turn.text) for turn in turns if turn.role == "system"]
        return [turn for turn in turns if turn.role != "system"], "\n\n".join(told)

    def _message(self, role: str, text: str, images: int = 0) -> Message:
        if not self._in_parts:
            return {"role": role, "content": self.image_mark * images + text}
        parts: list[Message] = [{"type": "image"}] * images
        return {"role": role, "content": [*parts, {"type": "text", "text": text}]}

    def _render(self, messages: list[Message]) -> str:
        return str(
            self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )

    def _shows_probe(self, messages: list[Message]) -> bool:
        """Whether the template renders the probe's text, and as a text."""
        try:
            rendered = self._render(messages)
        except (TemplateError, TypeError):
            return False
        return PROBE in rendered and "'text'" not in rendered

    def _knows_system(self, user: Message) -> bool:
        """Whether the template has a place for a system turn; some refuse or mislabel it.

        A reasoning model is not asked: R1's authors advise "all instructions should be contained
        within the user prompt" (README of deepseek-ai/DeepSeek-R1).
        """
        if not SYSTEM_ROLE.search(str(self.tokenizer.get_chat_template())):
            return False
        blank = [] if self._in_parts else ""
        return self._shows_probe([{**user, "role": "system"}, {**user, "content": blank}])

    def _unrendered_opening(self, rendered: str) -> list[int]:
        """Tokens that the tokenizer opens every text with, unless the template renders them."""
        added = self.tokenizer.encode("")
        start = self.tokenizer.bos_token_id
        if start is None or start not in added:
            return []
        return [] if rendered.startswith(str(self.tokenizer.bos_token)) else [start]

    def _without_marks(self, text: str) -> str:
        whole = SURROGATE.sub("\ufffd", text)
        return self._marks.sub(lambda mark: " " + mark.group()[1:], whole)


def _answer_only(turn: Turn) -> str:
    """The words of a turn; what an assistant thought before them is not sent again."""
    if turn.role == "assistant" and THINK_CLOSE in turn.text:
        return turn.text.rpartition(THINK_CLOSE)[2].lstrip()
    return turn.text
