"""Every word of the console is there in both languages, and no word is left without a use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Formatter

import pytest

from orchestra.pages.wording import asked_language
from orchestra.serving.console.spend import PAYERS, PERIODS, WAYS
from orchestra.serving.console.words import SPOKEN, WORDS, spoken

CONSOLE = Path(__file__).parents[4] / "orchestra" / "serving" / "console"
STATES = ("idle", "running", "done", "failed", "passed", "asking")
BUILT = [
    *(f"state_{name}" for name in STATES),
    *(f"status_{name}" for name in ("complete", "review", "partial", "failed", "waiting")),
    *(f"source_{name}" for name in ("photo", "text", "both", "derived", "person")),
    *(f"by_{way}" for way in (*PAYERS, *WAYS)),
    *(f"period_{period}" for period in PERIODS),
    *(f"of_{kind}" for kind in ("server", "tenant", "key")),
    *(f"per_{period}" for period in ("day", "month")),
    *(f"write_{code}" for code in ("auto", "en", "zh")),
    *("cost_usd", "latency_ms", "tokens", "kind_join", "kind_own", "left", "under_way"),
    *("on_photo", "whole_photo", "send", "go_on"),
]


def told(suffix: str, pattern: str) -> set[str]:
    files = CONSOLE.rglob(f"*{suffix}")
    return {key for path in files for key in re.findall(pattern, path.read_text(encoding="utf-8"))}


def said() -> set[str]:
    """What the script says by itself."""
    built = {key for key in BUILT if key.startswith(("state_", "status_"))}
    return told(".js", r'\bsay\("(\w+)"') | {"drop", "drop_more", "go"} | built


def test_every_word_that_the_page_asks_for_is_there_and_has_a_use() -> None:
    used = told(".j2", r"\bt\('(\w+)'[,)]") | said() | set(BUILT)
    singular = {key for key in WORDS if key.endswith("_one")}
    assert used - set(WORDS) == set()
    assert set(WORDS) - used - singular == set()


def test_the_script_is_given_what_it_says_and_no_more() -> None:
    assert set(SPOKEN) == said()
    assert json.loads(spoken("zh"))["go"] == "运行"


@pytest.mark.parametrize("key", sorted(WORDS))
def test_both_languages_say_it_with_the_same_values(key: str) -> None:
    assert all(text.strip() for text in WORDS[key])
    held = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in WORDS[key]]
    assert held[0] == held[1]


def test_a_page_speaks_what_was_asked_for_else_what_the_browser_does() -> None:
    assert asked_language("zh", "en-GB") == "zh"
    assert asked_language("", "zh-CN,zh;q=0.9") == "zh"
    assert asked_language("fr", "de") == "en"
