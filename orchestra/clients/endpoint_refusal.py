"""What a server says when it refuses or fails: its words, bounded and without keys.

Bodies have the forms of OpenAI, Azure, OpenRouter, vLLM, FastAPI, Ollama and plain pages. An error
may also come under status 200, as the whole answer or in the middle of a stream. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

MOST_SAID_CHARS = 300
SECRET = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|nvapi|hf)[-_][\w*.-]{8,}|\bAIza[\w-]{20,}|(?<=bearer )[^\s'\",}]+",
    re.IGNORECASE,
)
# A status that an error under status 200 means, by its words.
MEANT = (
    (re.compile(r"rate.?limit|too many requests|too_many|throttl", re.I), 429),
    (re.compile(r"overloaded|no capacity|unavailable|loading model", re.I), 503),
    (re.compile(r"unexpected endpoint", re.I), 404),
    (re.compile(r"context[ _](length|window|size)|invalid_request|not support|unsupp", re.I), 400),
    (re.compile(r"unauthori[sz]ed|api[ _-]?key", re.I), 401),
)
NO_CREDIT = re.compile(
    r"insufficient_quota|insufficient balance|exceeded your current quota|budget_exceeded"
    r"|budget has been exceeded|over budget|exceeded budget|arrearage|overdue|credit balance"
    r"|insufficient credits|out of credits?|no credits? left|FreeTierOnly|free tier .*exhausted"
    r"|billing[_ ](hard[_ ]limit|not)",
    re.IGNORECASE,
)
BUSY = frozenset({429, 503, 529})  # turned away before any work; 529 is Anthropic's "overloaded"
OVERLOADED = re.compile(r"overloaded", re.IGNORECASE)  # which gateways pass on as 500
WAIT = re.compile(r"(?:try again|retry) (?:in|after) (\d+(?:\.\d+)?) ?(ms|milli|s|m|h)?", re.I)
SECONDS = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ErrorInside(Exception):
    """An answer under a status of success that is an error, or ends in one.

    `body` holds what was said of it. `heard` is how many characters of answer came before, or None
    where the model had not begun; `usage` is what the server reported of it.
    """

    def __init__(
        self, body: Any, *, heard: int | None = None, usage: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(str(body)[:MOST_SAID_CHARS])
        self.body = body
        self.heard = heard
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Refusal:
    """One answer that is no success: status, what the server said, and its Retry-After in s.

    `param` is what of the request the server blames, `kinds` its own words for the kind of error.
    """

    status: int
    said: str
    retry_after_s: float | None = None
    param: str = ""
    kinds: str = ""

    @classmethod
    def of(cls, status: int, body: bytes, headers: Mapping[str, str], key: str | None) -> Refusal:
        """Read a refusal; `key` is masked wherever the server repeats it."""
        text = body.decode(errors="replace")
        try:
            parsed: Any = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            parsed = " ".join(re.sub(r"<[^>]*>", " ", text).split()) or "nothing"
        read = cls._read(status, parsed, key)
        after_s = _retry_after_s(headers)
        return replace(read, retry_after_s=_said_s(read.said) if after_s is None else after_s)

    @classmethod
    def inside(cls, body: Any, key: str | None) -> Refusal:
        """Read an error that came under status 200; its status is the one that it means."""
        read = cls._read(500, body, key)
        code = str(_inner(body).get("code"))
        status = int(code) if re.fullmatch("[45][0-9]{2}", code) else None
        if status is None:
            words = f"{read.kinds} {read.said}"
            status = next((meant for means, meant in MEANT if means.search(words)), 500)
        return replace(read, status=status, retry_after_s=_said_s(read.said))

    @classmethod
    def _read(cls, status: int, body: Any, key: str | None) -> Refusal:
        inner = _inner(body)
        deeper = inner.get("innererror") or inner.get("metadata") or {}
        deeper = deeper if isinstance(deeper, Mapping) else {}
        named = [inner.get("code"), inner.get("type"), deeper.get("code"), deeper.get("error_type")]
        kinds = [str(kind) for kind in named if kind not in (None, "None", "")]
        code = [kind for kind in kinds[:1] if inner.get("code") and kind != str(status)]
        said = ": ".join([*code, _words(inner, deeper)])
        param = inner.get("param")
        return cls(
            status,
            masked(said, key)[:MOST_SAID_CHARS],
            param="" if param in (None, "None") else str(param),
            kinds=" ".join(kinds),
        )

    @property
    def may_try_again(self) -> bool:
        """Whether the request was turned away before any work, and may fit later."""
        is_busy = self.status in BUSY or (self.status == 500 and self.names(OVERLOADED))
        return is_busy and not self.is_out_of_credit

    @property
    def is_out_of_credit(self) -> bool:
        """Whether nothing but money helps."""
        return self.names(NO_CREDIT)

    def names(self, what: re.Pattern[str]) -> bool:
        """Whether the server's words, or its kinds of error, hold `what`."""
        return what.search(self.said) is not None or what.search(self.kinds) is not None


def masked(text: str, key: str | None) -> str:
    """`text` in one line, without `key` and whatever else looks like one."""
    if key:
        text = text.replace(key, "***")
    return SECRET.sub("***", " ".join(text.split()))


def _inner(body: Any) -> Mapping[str, Any]:
    """The part of an error body that tells of the error."""
    while isinstance(body, list) and len(body) == 1:
        body = body[0]  # Google's compatible endpoint wraps it in a list
    if isinstance(body, Mapping):
        inner = body.get("error") or body.get("detail") or body
        return inner if isinstance(inner, Mapping) else {"message": inner}
    return {"message": body}


def _words(inner: Mapping[str, Any], deeper: Mapping[str, Any]) -> str:
    named = (inner.get(name) for name in ("message", "msg", "error_msg", "error", "reason"))
    message = next((each for each in named if each), dict(inner))
    raw = deeper.get("raw")  # what the server behind a gateway said
    return f"{_plain(message)} ({_plain(raw)})" if raw else _plain(message)


def _plain(message: Any) -> str:
    """A message in one form; FastAPI lists what is wrong with each part of a request."""
    if isinstance(message, Sequence) and not isinstance(message, str):
        return "; ".join(_plain(each) for each in message)
    if isinstance(message, Mapping) and "msg" in message:
        where = ".".join(str(part) for part in message.get("loc", ()))
        return f"{where}: {message['msg']}" if where else str(message["msg"])
    return str(message)


def _said_s(said: str) -> float | None:
    """Seconds that the server asks to wait in words alone."""
    wait = WAIT.search(said)
    return wait and float(wait.group(1)) * SECONDS[(wait.group(2) or "s").lower()]


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait. A date counts from the server's own, not our clock."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, (until - parsedate_to_datetime(headers.get("date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None
