"""Recognises files by their first and last bytes; it decodes nothing."""

from __future__ import annotations

import re

CAMERA_RAW = (b"II\x1a\x00\x00\x00HEAPCCDR", b"FUJIFILMCCD-RAW")
END_SEARCH_BYTES = 64 * 1024
HEAD_BYTES = 4096
# What a file is by its first bytes, and the cure. The bytes themselves are never told: they are
# somebody's data, and say nothing to who looks at a table.
MAGIC = (
    (b"8BPS", "it is a Photoshop file (PSD); export it as JPEG or PNG"),
    (b"%!PS", "it is PostScript (EPS), a drawing; export it as PNG"),
    (b"\xc5\xd0\xd3\xc6", "it is PostScript (EPS), a drawing; export it as PNG"),
    (b"%PDF-", "it is a PDF; export the page as JPEG"),
    (b"\xff\x0a", "it is JPEG XL, which is not read; export it as JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", "it is JPEG XL, which is not read; export it as JPEG or PNG"),
    (b"II\xbc", "it is JPEG XR, which is not read; export it as JPEG or PNG"),
    (b"gimp xcf", "it is a GIMP project (XCF); export it as JPEG or PNG"),
    (b"\x1aE\xdf\xa3", "it is a video; give a photo"),
    (b"PK\x03\x04", "it is a ZIP archive (or an Office file); unpack it, and name the photo"),
    (b"PK\x05\x06", "it is an empty ZIP archive; name the photo itself"),
    (b"Rar!", "it is a RAR archive; unpack it, and name the photo"),
    (b"7z\xbc\xaf", "it is a 7z archive; unpack it, and name the photo"),
    (b"\x1f\x8b", "it is gzip data; unpack it, and name the photo"),
    (b"\xd0\xcf\x11\xe0", "it is an Office file; save the photo itself as JPEG"),
    (b"\x7fELF", "it is a program; name the photo"),
    (b"MZ", "it is a program; name the photo"),
    (b"\0\5\x16\7", "it is what macOS keeps beside a file (._name); name the file itself"),
    (b"version https://git-lfs", "it is a Git LFS pointer; run 'git lfs pull'"),
)
BLANKS = (b"\xef", b" ", b"\t", b"\r", b"\n")
PHOTOS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF")
PAGE = re.compile(rb"<!doctype html|<html[\s>]|<head[\s>]|<body[\s>]|<meta[\s>]|<script[\s>]", re.I)
SVG = re.compile(rb"<(\w+:)?svg[\s>/]", re.I)


def foreign_format(data: bytes) -> str:
    """What data that no reader accepts seems to be, with the cure; none of its bytes."""
    head = _as_ascii(data[:HEAD_BYTES]).lstrip(b"\xef\xbb\xbf \t\r\n\0")
    if data[4:8] == b"ftyp":
        return _container(data[8:12])
    if data[:4] == b"RIFF":
        return "it is a sound or a video (RIFF); give a photo"
    if data.startswith(CAMERA_RAW) or (data[:4] == b"II*\0" and data[8:10] == b"CR"):
        return "camera raw is not read; export it as JPEG"
    for magic, told in MAGIC:
        if data.startswith(magic) or head.startswith(magic):
            return told
    if SVG.search(head) and not PAGE.match(head):
        return "SVG is a drawing, not pixels; export it as PNG"
    return _written(head) or "its bytes are of no image format; export it as JPEG or PNG"


def _container(brand: bytes) -> str:
    """What an ISO base media file is by its brand."""
    if brand[:3] == b"crx":
        return "camera raw is not read; export it as JPEG"
    if brand in (b"avif", b"avis"):
        return "it is AVIF, which this Pillow was built without; install Pillow from PyPI"
    if brand[:3] in (b"hei", b"hev") or brand in (b"mif1", b"msf1"):
        return "it is HEIC of a kind that is not read; export it as JPEG"
    return "it is a video (MP4 or MOV); give a photo"


def _written(head: bytes) -> str | None:
    """What a text is; None for what is none."""
    head = re.sub(rb"^(<!--.*?-->\s*)+", b"", head, flags=re.DOTALL)
    if not head.strip():
        return "it holds nothing but blanks or zero bytes; copy or download it again"
    if PAGE.match(head):
        return "it is a web page (HTML); use the address of the photo itself"
    if head.startswith(b"<?xml") or re.match(rb"<[A-Za-z][\w:.-]*[\s/>]", head):
        if PAGE.search(head):
            return "it is a web page (HTML); use the address of the photo itself"
        if re.search(rb"<Error>|AccessDenied|NoSuchKey|ExpiredToken", head):
            return (
                "it is an error in XML that a file store sent instead of the photo; open the "
                "address in a browser, or ask for a new one"
            )
        return "it is XML; use the address of the photo itself"
    if re.match(rb'[{\[]\s*["{\[\]}\d]', head):
        return "it is JSON, as a server's error is; open the address in a browser"
    if head.startswith(b"data:image"):
        return "it is a data URI saved as a file; put its text in the table, or decode it"
    if head.startswith((b"http://", b"https://")):
        return "it is a text with an address; put the address in the table"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head) and b"\xff" not in head:
        return "it is plain text; use the address or the path of the photo itself"
    return None


def _as_ascii(head: bytes) -> bytes:
    """UTF-16, as some servers write it, made readable to patterns."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[2:].replace(b"\0", b"")
    return head


def without_prefix(data: bytes) -> bytes:
    """A photo without the blanks or byte order mark that a server's program put before it."""
    if data[:1] not in BLANKS:
        return data
    bare = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    return bare if bare.startswith(PHOTOS) else data


def has_end(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end marker anywhere; of other formats nobody looks."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in data
    return not data.startswith(b"\x89PNG") or b"IEND" in data


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
    """Whether the boxes of an ISO base media file (AVIF, HEIC) reach beyond the data."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size < 8:  # 0 = up to the end, 1 = a 64-bit size: both rare, neither judged
            return False
        position += size
    return position != len(data)
