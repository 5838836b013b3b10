"""One training example of the text models, and how it stands in the shared chat format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

Task = Literal["copy", "extract", "write", "answer", "ask", "classify", "triples", "fields",
               "summarise", "chat"]  # fmt: skip
THINK_REQUESTS = {"en": "Think first.", "zh": "先思考。"}


@dataclass(frozen=True, slots=True)
class Example:
    """Instruction, data and answer (compact JSON; in `chat` mostly plain text).

    `thought` stands between think marks before the answer; the prompt then ends with
    `<think>`, as the chat template writes it when the instruction asks for thinking.
    `turns` are earlier (role, text) messages.
    """

    task: Task
    instruction: str
    data: str | None
    answer: str
    thought: str | None = None
    turns: tuple[tuple[str, str], ...] = ()
    kind: str = ""

    @property
    def prompt(self) -> str:
        """The prompt in the shared chat format, up to and with `<|assistant|>`."""
        block = "" if self.data is None else f"\n<data>\n{self.data}\n</data>"
        ends = {"user": "", "assistant": "<|end|>"}
        before = "".join(f"<|{role}|>{text}{ends[role]}" for role, text in self.turns)
        opening = "" if self.thought is None else "<think>"
        return f"{before}<|user|>{self.instruction}{block}<|assistant|>{opening}"

    @property
    def completion(self) -> str:
        """What follows the prompt, without the end mark."""
        return self.answer if self.thought is None else f"{self.thought}</think>\n\n{self.answer}"


def compact(value: object) -> str:
    """`value` as the compact JSON that constrained decoding writes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
