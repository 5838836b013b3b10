"""The file that runs share: bounded, safe for several processes, and never worth a job."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest

from orchestra.cache.store import FILE, MIB, ReplyStore
from orchestra.core.errors import InvalidBudget


def age(folder: Path, key: str, used: int) -> None:
    """Make `key` last used at `used`."""
    database = sqlite3.connect(folder / FILE)
    with database:
        database.execute("UPDATE replies SET used = ? WHERE key = ?", (used, key))
    database.close()


def test_a_reply_is_found_by_another_opening_of_the_folder(tmp_path: Path) -> None:
    first = ReplyStore(tmp_path / "cache")
    first.put("key", '{"颜色": "红"}')
    second = ReplyStore(tmp_path / "cache")
    assert second.get("key") == '{"颜色": "红"}'
    assert second.get("other") is None
    first.close()
    second.close()


def test_the_first_reply_of_a_key_stays(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path)
    store.put("key", "first")
    store.put("key", "second")
    assert (store.get("key"), store.size.replies) == ("first", 1)
    store.close()


def test_the_oldest_used_go_where_room_is_short(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, most_mib=1)
    reply = "x" * 100_000
    for number in range(10):
        store.put(str(number), reply)
        age(tmp_path, str(number), number)
    assert store.get("0") == reply  # it was used now, so "1" is the oldest
    store.put("10", reply)
    assert store.get("1") is None
    assert store.get("0") == store.get("10") == reply
    assert store.size.used_bytes <= MIB
    store.close()


def test_the_file_stays_within_a_small_part_of_its_bound(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, most_mib=1)
    for number in range(3000):
        store.put(f"{number:064d}", "a reply of some words " * 50)
    store.close()
    assert (tmp_path / FILE).stat().st_size < 1.3 * MIB


def test_a_reply_over_the_bound_is_not_kept(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, most_mib=1)
    store.put("small", "reply")
    store.put("large", "x" * (MIB + 1))
    assert (store.get("large"), store.get("small")) == (None, "reply")
    store.close()


def test_a_bound_is_kept_with_the_file_and_holds_at_once(tmp_path: Path) -> None:
    with_room = ReplyStore(tmp_path, most_mib=2)
    for number in range(15):
        with_room.put(str(number), "x" * 100_000)
    with_room.close()
    smaller = ReplyStore(tmp_path, most_mib=1)
    assert smaller.size.used_bytes <= MIB
    smaller.close()
    later = ReplyStore(tmp_path)
    assert later.size.most_bytes == MIB
    later.close()


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_of_nothing_is_refused(tmp_path: Path, bound: int) -> None:
    with pytest.raises(InvalidBudget, match=repr(bound)):
        ReplyStore(tmp_path, most_mib=bound)


def test_a_damaged_file_warns_once_and_misses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(b"no sqlite file at all" * 100)
    store = ReplyStore(tmp_path)
    store.put("key", "reply")
    assert store.get("key") is None
    (told,) = [record.getMessage() for record in caplog.records]
    assert FILE in told
    assert "Delete the file" in told
    store.close()


def test_a_file_that_is_damaged_in_use_warns_and_misses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = ReplyStore(tmp_path)
    for number in range(200):
        store.put(str(number), "x" * 2000)
    store.close()
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    store = ReplyStore(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [store.get(str(number)) for number in range(200)] == [None] * 200
        store.put("new", "reply")
    assert len(caplog.records) == 1
    store.close()


def test_another_programs_file_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = sqlite3.connect(tmp_path / FILE)
    with database:
        database.execute("CREATE TABLE theirs (value)")
    database.close()
    store = ReplyStore(tmp_path)
    store.put("key", "reply")
    assert store.get("key") is None
    assert "another program" in caplog.text
    database = sqlite3.connect(tmp_path / FILE)
    assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    database.close()


def test_a_folder_that_is_a_file_warns_and_misses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("not a folder")
    store = ReplyStore(tmp_path / "cache")
    store.put("key", "reply")
    assert store.get("key") is None
    assert "could not be opened" in caplog.text


def test_a_busy_file_is_no_reason_to_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ReplyStore(tmp_path)
    store.put("key", "reply")
    age(tmp_path, "key", 1)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert store.get("key") == "reply"
    store.put("new", "reply")
    other.execute("ROLLBACK")
    other.close()
    store.put("later", "reply")
    assert (store.get("new"), store.get("later")) == (None, "reply")
    assert "locked" in caplog.text
    store.close()


def test_a_closed_cache_misses(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path)
    store.put("key", "reply")
    store.close()
    store.close()
    assert store.get("key") is None


def write_many(folder: Path, name: str) -> None:
    store = ReplyStore(folder)
    for number in range(200):
        store.put(f"{name}:{number}", f"reply {number} of {name}")
        store.put(f"shared:{number}", f"reply {number}")
    store.close()
    os._exit(0)


def test_processes_that_open_and_write_at_once_lose_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write_many, args=(tmp_path, name)) for name in "abcd"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    store = ReplyStore(tmp_path)
    assert store.size.replies == 4 * 200 + 200
    assert store.get("c:199") == "reply 199 of c"
    assert store.get("shared:7") == "reply 7"
    assert not caplog.records
    store.close()
