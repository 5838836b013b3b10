"""How long a photo's server is left alone before it is asked again; nothing is fetched here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from orchestra.core.errors import ImageUnavailable
from orchestra.images.limits import ImageLimits

FIRST_PAUSE_S = 0.5  # doubles with each attempt, where the server asks for no more


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After`; a date is read beside the server's own, as clocks differ."""
    wish = headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(wish))
    except ValueError:
        until, now = _date(wish), _date(headers.get("Date", ""))
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def pause_s(
    error: ImageUnavailable, tried: int, waited_s: float, left_s: float | None, limits: ImageLimits
) -> float | None:
    """Seconds until the photo is asked for again; None when it is given up for now.

    It was asked for `tried` times, with `waited_s` of waits; `left_s` is what is left of the job's
    deadline, if it has one.
    """
    if error.again_s is None or tried >= limits.attempts:
        return None
    pause = max(error.again_s, FIRST_PAUSE_S * 2 ** (tried - 1))
    is_late = left_s is not None and pause >= left_s
    return None if is_late or waited_s + pause > limits.patience_s else pause


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else None
