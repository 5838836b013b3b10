"""Recognises files by their first and last bytes; it decodes nothing."""

from __future__ import annotations

HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
CAMERA_RAW = (b"II\x1a\x00\x00\x00HEAPCCDR", b"FUJIFILMCCD-RAW")
END_SEARCH_BYTES = 64 * 1024


def foreign_format(data: bytes) -> str:
    """What data that no reader accepts seems to be, with the cure."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        return "HEIC is not read; export it as JPEG (iPhone: Settings, Camera, Most Compatible)"
    if data[4:8] == b"ftyp":
        return f"it is a {data[8:12].decode('ascii', 'replace')!r} container; export it as JPEG"
    if head[:4] == b"<svg" or (head[:1] == b"<" and b"<svg" in head):
        return "SVG is a drawing, not pixels; export it as PNG"
    if head[:14].lower() == b"<!doctype html" or head[:5].lower() == b"<html":
        return "it is a web page; use the address of the photo itself"
    if head[:5] == b"%PDF-":
        return "it is a PDF; export the page as JPEG"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; run 'git lfs pull'"
    if head.startswith(CAMERA_RAW):
        return "camera raw is not read; export it as JPEG"
    return f"it starts with {data[:12]!r}; export it as JPEG or PNG"


def ends_early(data: bytes) -> bool:
    """Whether data begins as a known image format and lacks that format's end."""
    tail = data[-END_SEARCH_BYTES:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in tail
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if data.startswith(b"GIF8"):
        return not tail.rstrip(b"\0").endswith(b";")
    if data[:4] == b"RIFF":
        return len(data) < 12 or int.from_bytes(data[4:8], "little") + 8 > len(data)
    if data.startswith(b"BM"):
        return len(data) < 26 or int.from_bytes(data[2:6], "little") > len(data)
    return data[4:8] == b"ftyp" and _boxes_end_early(data)


def _boxes_end_early(data: bytes) -> bool:
    """Whether the boxes of an ISO base media file (AVIF) reach beyond the data."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size < 8:  # 0 = up to the end, 1 = a 64-bit size: both rare, neither judged
            return False
        position += size
    return position != len(data)
