"""The metered work of one model call, as its server or engine reports it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens in and out, images, and measured CPU time.

    `is_bound`: at least a part was not reported, so that it is the most the call can have used.
    `doubts` say where the figures are not simply the reported ones, each beginning with a verb.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0
    cpu_s: float = 0.0
    is_bound: bool = False
    doubts: tuple[str, ...] = ()


NO_USE = Usage()
