"""Reads a photo's address as it was meant: as shops' tables write them, and as people copy them.

Pure: nothing is looked up. What is no address of the web is a path, and is left as it is.
"""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

EXTENSIONS = (
    "jpg|jpeg|jpe|jfif|pjpeg|png|apng|webp|gif|bmp|dib|tif|tiff|avif|heic|heif|svg|ico|jp2|jpx|psd"
    "|jxl"
)
EXTENSION = re.compile(rf"\.(?:{EXTENSIONS})$", re.IGNORECASE)
UNSEEN = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"))
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」", "<": ">"}
# Ways to write an address into a cell: a formula, Markdown, HTML, CSS.
WRAPPED = (
    re.compile(r"""=\s*(?:image|hyperlink)\(\s*["']([^"']+)["'].*\)""", re.IGNORECASE | re.DOTALL),
    re.compile(r"!?\[[^\]]*\]\(\s*<?([^\s)>]+)>?[^)]*\)"),
    re.compile(
        r"""<(?:img|a|source|image)\b[^>]*?\b(?:src|href)\s*=\s*["']([^"']+)["'].*""", re.I | re.S
    ),
    re.compile(r"""url\(\s*["']?([^"')]+)["']?\s*\)""", re.IGNORECASE),
)
SCHEME = re.compile(r"h{0,2}tt?tps?\s*(?::\s*)?[\\/]*|https?\s*;\s*//", re.IGNORECASE)
WHOLE = re.compile(r"(https?)://", re.IGNORECASE)
HOST = r"(?:(?:[\w-]+\.)+[^\W\d_]{2,24}|localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])(?::\d+)?"
HOSTED = re.compile(rf"{HOST}(?=[\\/?#]|$)", re.IGNORECASE)
# A host without a scheme is told from a folder whose name has a dot by the end of its name.
BARE = re.compile(
    r"(?:www\.[\w.-]+|(?:[\w-]+\.)+(?:com|net|org|info|biz|io|co|ai|app|dev|me|tv|cc|eu|shop|store"
    r"|cloud|site|online|tech|xyz|cn|jp|kr|tw|hk|in|sg|au|nz|us|ca|mx|br|ar|cl|uk|ie|de|at|ch|fr|be"
    r"|nl|it|es|pt|se|no|dk|fi|pl|cz|sk|hu|ro|gr|tr|ua|ru|za|ae))(?::\d+)?[\\/]",
    re.IGNORECASE,
)
AFTER = re.compile(rf"(\S+?\.(?:{EXTENSIONS})(?:\?\S*)?)\s+(\S.*)", re.IGNORECASE | re.DOTALL)
SHARES = (  # hosts that show a page around a file, what they are called, and how to get at it
    (r"(?:drive|docs)\.google\.com", "a Google Drive link", "google"),
    (r"(?:photos\.app\.goo\.gl|photos\.google\.com)", "a Google Photos link", ""),
    (r"(?:www\.)?dropbox\.com", "a Dropbox link", "dropbox"),
    (r"(?:1drv\.ms|onedrive\.live\.com|[\w-]+\.sharepoint\.com)", "a OneDrive link", ""),
    (r"(?:share\.icloud\.com|(?:www\.)?icloud\.com)", "an iCloud link", ""),
    (r"(?:we\.tl|wetransfer\.com)", "a WeTransfer link", ""),
    (r"(?:app\.)?box\.com|[\w-]+\.box\.com", "a Box link", ""),
    (r"(?:pan\.baidu\.com|yun\.baidu\.com)", "a Baidu Wangpan link", ""),
    (r"(?:www\.)?(?:imgur\.com|flickr\.com|instagram\.com|pinterest\.\w+)", "a page of photos", ""),
)


def cleaned(text: str) -> str:
    """An address or path without what a cell put around it: quotes, a formula, unseen marks."""
    text = text.translate(UNSEEN).strip()
    while len(text) > 1 and QUOTES.get(text[0]) == text[-1] and not text.startswith("<img"):
        text = text[1:-1].strip()
    for pattern in WRAPPED:
        found = pattern.fullmatch(text)
        if found:
            return cleaned(found[1])
    return text


def web_address(text: str) -> str | None:
    """The http(s) address that `text` means, mended; None for a path or another scheme.

    A missing scheme is https, backslashes are slashes, an address that stands twice behind its
    scheme stands once, and what follows a photo's name is left out.
    """
    if text[:5].lower() == "data:":  # it may be megabytes long
        return None
    found = _parts(cleaned(text))
    if found is None:
        return None
    scheme, rest = found
    rest = html.unescape(rest) if "&" in rest else rest
    rest = _without_junk(re.sub(r"[\t\r\n]+", "", rest))
    path, mark, query = rest.partition("?")
    return f"{scheme}://{path.replace(chr(92), '/')}{mark}{query}"


def _parts(text: str) -> tuple[str, str] | None:
    """Scheme and what stands behind it, where a text is an address."""
    if BARE.match(text) or (text[:2] in ("//", "\\\\") and _is_hosted(text[2:])):
        return "https", text.lstrip("\\/")
    opening = SCHEME.match(text)
    if opening is None:
        return None
    scheme, rest = _scheme(opening[0]), text[opening.end() :].lstrip()
    again = SCHEME.match(rest)
    if again is not None and _is_hosted(rest[again.end() :]):
        return _scheme(again[0]), rest[again.end() :]
    whole = WHOLE.match(text)
    if whole is not None and text[whole.end() : whole.end() + 1] not in ("/", "\\"):
        return scheme, text[whole.end() :]  # as it should be, whatever host it names
    if _is_hosted(rest):
        return scheme, rest
    return None if whole is None else (scheme, text[whole.end() :])


def _scheme(written: str) -> str:
    return "http" if re.match(r"h*t+p(?!s)", written, re.IGNORECASE) else "https"


def _is_hosted(rest: str) -> bool:
    """Whether a text begins with a host, and not with the name of a photo."""
    found = HOSTED.match(rest)
    return found is not None and not EXTENSION.search(found[0])


def _without_junk(rest: str) -> str:
    """An address without what follows it: punctuation of a list or a sentence, a remark."""
    found = AFTER.fullmatch(rest)
    if found is not None and not EXTENSION.search(found[2].strip()):
        rest = found[1]
    while rest:
        end = rest[-1]
        is_open = end in ")]}" and rest.count(end) > rest.count("([{"[")]}".index(end)])
        if not (end in " \t,;.|\"'>»”" or is_open):
            break
        rest = rest[:-1]
    return rest


def page_instead(address: str) -> str | None:
    """What an address of a service that shares files is, and the cure; None for any other."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    for pattern, what, kind in SHARES:
        if re.fullmatch(pattern, host):
            direct = _direct(kind, address, parts.path, parts.query)
            return (
                None if direct == "" else f"{what}, which opens a page and not the photo. {direct}"
            )
    return None


def _direct(kind: str, address: str, path: str, query: str) -> str:
    """How to get the photo behind a shared link; "" where the link is the photo already."""
    asked = parse_qs(query)
    if kind == "dropbox":
        if "1" in asked.get("raw", []) + asked.get("dl", []):
            return ""
        bare = re.sub(r"[?&]dl=0\b", "", address)
        return f"Give {bare}{'&' if '?' in bare else '?'}raw=1, or download it and give its path."
    if kind == "google":
        if path.startswith("/uc") and "folder" not in path:
            return ""
        found = re.search(r"/d/([\w-]{10,})", path)
        key = found[1] if found else next(iter(asked.get("id", [])), None)
        if "/folders/" in path or key is None:
            return "Download the photos and give their paths."
        return (
            f"Share the file with anyone who has the link and give "
            f"https://drive.google.com/uc?export=download&id={key}, or download it and give its "
            "path."
        )
    if EXTENSION.search(path) and kind == "":
        return ""
    return "Download the photo and give its path."
