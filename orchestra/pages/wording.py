"""Words of a page in English and Chinese, found by their key; it knows no page."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES = {"en": "English", "zh": "中文"}
Words = Mapping[str, tuple[str, str]]

# What every page says of a result.
OF_RESULTS: Words = {
    "status_complete": ("complete", "完整"),
    "status_review": ("review", "待审"),
    "status_partial": ("partial", "部分"),
    "status_failed": ("failed", "失败"),
    "status_waiting": ("waiting", "等待"),
    "source_photo": ("photo", "图片"),
    "source_text": ("text", "文本"),
    "source_both": ("photo + text", "图片 + 文本"),
    "source_derived": ("derived", "推得"),
    "source_person": ("a person", "人工"),
    "asks": ("asks", "询问"),
}


def worded(words: Words, language: str, key: str, **values: object) -> str:
    """The words under `key`, with `values` put in; numbers get their separators.

    Where the first value is 1, or the second, the words for that are taken if there are any.
    """
    numbers = [one for one in values.values() if isinstance(one, int)]
    if numbers[:1] == [1] and f"{key}_one" in words:
        key = f"{key}_one"
    elif numbers[1:2] == [1] and f"{key}_in_one" in words:
        key = f"{key}_in_one"
    text = words[key][language == "zh"]
    told = {name: f"{one:,}" if isinstance(one, int) else one for name, one in values.items()}
    return text.format(**told) if told else text


def asked_language(given: str, accepted: str) -> str:
    """The language of a page: the one that was `given`, else that of an Accept-Language header."""
    if given in LANGUAGES:
        return given
    return "zh" if accepted.startswith("zh") else "en"
