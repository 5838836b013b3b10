"""Brings the bytes of a photo from a path, a `data:` URI or a web address; it decodes none.

Web addresses are checked against private networks at every redirect, and the connection goes
to the very address that was checked, so that a second look-up cannot lead elsewhere. For the
same reason proxies of the environment are not used.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import socket
import ssl
import stat
import time
from functools import cache
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import httpx

from orchestra.core.errors import (
    ImageForbidden,
    ImageNotFound,
    ImageTooLarge,
    ImageUnavailable,
    ImageUnreadable,
)
from orchestra.images.limits import ImageLimits
from orchestra.images.patience import retry_after_s

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
NAT64 = ipaddress.ip_network("64:ff9b::/96")
GONE = (404, 410)
PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses of a server that may answer later


def shown(source: str | Path, length: int = 120) -> str:
    """The source as an error message names it: quoted, short, without a password."""
    text = re.sub(r"(?<=://)[^/@\s]*@", "", str(source))
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def is_fetched(source: str | Path) -> bool:
    """Whether `source` is an address of the web, whose server decides how long it takes."""
    return isinstance(source, str) and source.strip()[:7].lower().startswith(("http:", "https:"))


def read_source(source: str | Path, base: Path | None, limits: ImageLimits) -> bytes:
    """The bytes of `source`, at most `limits.max_bytes` of them.

    `base` is the folder that relative paths start at: a table's, or None for the working directory.
    """
    if isinstance(source, Path):
        return _read_path(source, source, base, limits)
    text = source.strip()
    if text[:5].lower() == "data:":
        return _read_data_uri(text, limits)
    address = ADDRESS.match(text)
    scheme = address[1].lower() if address else "file"
    if scheme in ("http", "https"):
        return _fetch(text, limits)
    if scheme != "file":
        raise ImageForbidden(
            f"Image {shown(text)} has scheme {scheme!r}; only http, https, data and file are read. "
            "Download the photo and give its path."
        )
    path = _path_of(text) if address else text
    if not path:
        raise ImageNotFound("No image is named: the path is empty. Give a path or an address.")
    return _read_path(text, Path(path), base, limits)


def _path_of(address: str) -> str:
    """The path of a `file:` address."""
    try:
        return unquote(urlsplit(address).path)
    except ValueError as error:  # a bracket that opens no IPv6 host
        raise ImageNotFound(
            f"Image {shown(address)} is not a valid address ({error}). Give the path alone."
        ) from error


def _read_path(source: str | Path, path: Path, base: Path | None, limits: ImageLimits) -> bytes:
    """The bytes at `path`; errors name `source`, which is how the user wrote it."""
    name = shown(source)
    if not limits.allow_files:
        raise ImageForbidden(
            f"Image {name} is a path on this machine, and paths are not taken here. "
            "Send the photo as a data URI or an https address."
        )
    place = path if base is None else base / path
    try:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageUnreadable(f"Image {name} is a folder. Name the file inside it.")
        if not stat.S_ISREG(status.st_mode):
            raise ImageUnreadable(f"Image {name} is not a regular file. Copy it to one.")
        if status.st_size > limits.max_bytes:
            raise _too_large(str(source), f"{status.st_size:,}", limits)
        return place.read_bytes()
    except PermissionError as error:
        raise ImageUnreadable(
            f"Image {name} may not be read by this user. Change its permissions."
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        start = "of the working directory" if base is None else "of the table"
        raise ImageNotFound(
            f"Image {name} does not exist. Check the name and its capitals; a path that is not "
            f"absolute starts at the folder {start}."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or str(error)
        raise ImageNotFound(f"Image {name} cannot be read: {why}. Correct the path.") from error


def _read_data_uri(text: str, limits: ImageLimits) -> bytes:
    header, comma, body = text.partition(",")
    if not comma:
        raise ImageUnreadable(f"Image {shown(text, 60)} is a data URI without a comma.")
    if len(body) * 3 // 4 > limits.max_bytes:
        raise _too_large(text[:60], f"about {len(body) * 3 // 4:,}", limits)
    try:
        raw = unquote_to_bytes(body)
    except UnicodeEncodeError as error:
        raise ImageUnreadable(
            f"Image {shown(text, 60)} holds half of a surrogate pair. Encode the file again."
        ) from error
    if not header.lower().endswith(";base64"):
        return raw
    packed = re.sub(rb"\s+", b"", raw).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise ImageUnreadable(
            f"Image {shown(text, 60)} is not valid base64 ({error}). Encode the file again."
        ) from error


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _fetch(address: str, limits: ImageLimits) -> bytes:
    """GET `address`, following redirects by hand so that each target is checked."""
    deadline = time.monotonic() + limits.timeout_s
    try:
        with httpx.Client(verify=_tls(), trust_env=False, timeout=limits.timeout_s) as client:
            url = httpx.URL(address)
            for _ in range(limits.max_redirects + 1):
                answer = _get(client, url, limits, deadline)
                if isinstance(answer, bytes):
                    return answer
                url = url.join(answer)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        raise ImageNotFound(
            f"Image {shown(address)} is not a valid address ({error}). Correct it."
        ) from error
    except httpx.TimeoutException as error:
        raise _too_slow(address, limits) from error
    except httpx.HTTPError as error:  # no connection, or one that broke
        raise ImageUnavailable(
            f"Image {shown(address)} cannot be fetched now ({error}). Try again later; check the "
            "address and the network, or download the photo and give its path."
        ) from error
    raise ImageForbidden(
        f"Image {shown(address)} redirects more than {limits.max_redirects} times. "
        "Use the final address."
    )


def _get(client: httpx.Client, url: httpx.URL, limits: ImageLimits, deadline: float) -> bytes | str:
    """The body, or the place a redirect points to."""
    if url.scheme not in ("http", "https") or not url.host:
        raise ImageForbidden(f"Image {shown(str(url))} is not an http(s) address.")
    host = url.host
    place = _checked_address(
        str(url), host, url.port or (443 if url.scheme == "https" else 80), limits
    )
    request = client.build_request(
        "GET",
        url.copy_with(host=place),
        headers={
            "Host": url.netloc.decode("ascii"),
            "User-Agent": "orchestra",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
        },
        extensions={"sni_hostname": host},
    )
    answer = client.send(request, stream=True)
    try:
        if answer.has_redirect_location:
            return answer.headers["Location"]
        _check_status(answer, str(url))
        return _read_body(answer, str(url), limits, deadline)
    finally:
        answer.close()


def _check_status(answer: httpx.Response, address: str) -> None:
    if answer.is_success:
        return
    said = f"Image {shown(address)} answered HTTP {answer.status_code}"
    if answer.status_code in PASSING:
        again_s = retry_after_s(answer.headers)
        wish = f", and is to be asked for again in {again_s:g} s" if again_s else ""
        raise ImageUnavailable(
            f"{said}{wish}. That may pass: run again later.", again_s=again_s or 0.0
        )
    cure = "Check the address." if answer.status_code in GONE else "Open it in a browser."
    raise ImageNotFound(f"{said}. {cure}")


def _read_body(answer: httpx.Response, address: str, limits: ImageLimits, deadline: float) -> bytes:
    announced = answer.headers.get("Content-Length", "0")
    if announced.isdigit() and int(announced) > limits.max_bytes:
        raise _too_large(address, f"{int(announced):,}", limits)
    body = bytearray()
    for block in answer.iter_bytes():
        body += block
        if len(body) > limits.max_bytes:
            raise _too_large(address, f"more than {limits.max_bytes:,}", limits)
        if time.monotonic() > deadline:  # httpx bounds each read, not their sum
            raise _too_slow(address, limits)
    return bytes(body)


def _checked_address(address: str, host: str, port: int, limits: ImageLimits) -> str:
    """The IP address to connect to; raises when any address of `host` is not public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            raise ImageUnavailable(
                f"Image {shown(address)}: the host {host!r} cannot be looked up now ({error}). "
                "Check the network, and run again later."
            ) from error
        raise ImageNotFound(
            f"Image {shown(address)}: no such host {host!r} ({error}). Check the address."
        ) from error
    places = [str(entry[4][0]) for entry in found]
    for place in places:
        if not limits.allow_private and not _is_public(place):
            raise ImageForbidden(
                f"Image {shown(address)} leads to {place}, which is not a public address. "
                "Give the photo itself (its path; over HTTP a data URI), or set allow_private "
                "for photos of your own network."
            )
    return places[0]


def _is_public(place: str) -> bool:
    """Whether an address belongs to the public internet, also inside IPv6 wrappings."""
    address = ipaddress.ip_address(place.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast


def _too_large(source: str, size: str, limits: ImageLimits) -> ImageTooLarge:
    return ImageTooLarge(
        f"Image {shown(source)} has {size} bytes; the limit is {limits.max_bytes:,}. "
        "Save it smaller, or raise max_bytes."
    )


def _too_slow(address: str, limits: ImageLimits) -> ImageUnavailable:
    return ImageUnavailable(
        f"Image {shown(address)} did not arrive within {limits.timeout_s:g} s. Run again later, or "
        "download the photo and give its path.",
        again_s=None,
    )
