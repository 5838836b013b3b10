"""Fetches a photo by its web address, and does not fetch it again while it is the same.

Addresses are checked against private networks at every redirect, and the connection goes to the
very address that was checked, so that a second look-up cannot lead elsewhere. For the same reason
proxies of the environment are not used.
"""

from __future__ import annotations

import re
import ssl
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import httpx

from orchestra.core.errors import ImageError, ImageForbidden, ImageNotFound, ImageUnavailable
from orchestra.core.redact import redacted
from orchestra.images.inside import Target, place_of
from orchestra.images.limits import ImageLimits
from orchestra.images.naming import shown, too_large
from orchestra.images.patience import retry_after_s

GONE = (404, 410)
PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses of a server that may answer later
PRIVATE = (401, 403)
UNCHANGED = 304
MOST_FRESH_S = 7 * 24 * 3600.0  # a photo is asked for again after a week, whatever its server says


@dataclass(frozen=True, slots=True)
class Kept:
    """A photo as it was fetched: from which address in the end, and how to ask whether it changed.

    Until `fresh_until` (seconds since 1970) its server need not be asked. One of a private network
    is for those alone who may fetch from there.
    """

    body: bytes
    final: str
    etag: str = ""
    modified: str = ""
    fresh_until: float = 0.0
    is_private: bool = False


class Downloads(Protocol):
    """Photos that were fetched before, by their address; safe for threads."""

    def get(self, address: str) -> Kept | None:
        """What is kept of `address`."""
        ...

    def put(self, address: str, kept: Kept) -> None:
        """Keep what `address` gave."""
        ...


def download(address: str, limits: ImageLimits, downloads: Downloads | None = None) -> bytes:
    """The photo at `address`: fetched, or as it was kept where its server says that it is the same.

    Redirects are followed by hand, so that each target is checked.
    """
    kept = None if downloads is None else downloads.get(address)
    if kept is not None and kept.is_private and not limits.allow_private:
        kept = None
    if kept is not None and (kept.fresh_until > time.time() or len(kept.body) > limits.max_bytes):
        return _within(address, kept.body, limits)
    found = _fetch(address, limits, kept)
    if downloads is not None and (found.etag or found.modified or found.fresh_until):
        downloads.put(address, found)
    return found.body


def _within(address: str, body: bytes, limits: ImageLimits) -> bytes:
    if len(body) > limits.max_bytes:
        raise too_large(address, f"{len(body):,}", limits)
    return body


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _fetch(address: str, limits: ImageLimits, kept: Kept | None) -> Kept:
    deadline = time.monotonic() + limits.timeout_s
    place: Target | None = None
    try:
        with httpx.Client(verify=_tls(), trust_env=False, timeout=limits.timeout_s) as client:
            url = httpx.URL(address)
            for _ in range(limits.max_redirects + 1):
                answer, place = _get(client, url, limits, deadline, place, kept)
                if isinstance(answer, Kept):
                    return replace(answer, is_private=place.is_private)
                url = url.join(answer)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError, ValueError) as error:
        raise ImageNotFound(
            f"Image {shown(address)} is not a valid address ({redacted(str(error))}). Correct it."
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


def _get(
    client: httpx.Client,
    url: httpx.URL,
    limits: ImageLimits,
    deadline: float,
    before: Target | None,
    kept: Kept | None,
) -> tuple[Kept | str, Target]:
    """The photo, or the place a redirect points to; and where that was answered."""
    if url.scheme not in ("http", "https") or not url.host:
        raise ImageForbidden(f"Image {shown(str(url))} is not an http(s) address.")
    host = url.host
    port = url.port or (443 if url.scheme == "https" else 80)
    place = place_of(str(url), host, port, limits, before=before)
    known = kept if kept is not None and kept.final == str(url) else None
    request = client.build_request(
        "GET",
        url.copy_with(host=place.address),
        headers={
            "Host": url.netloc.decode("ascii"),
            "User-Agent": "orchestra",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            **_if_changed(known),
        },
        extensions={"sni_hostname": host},
    )
    answer = client.send(request, stream=True)
    try:
        if answer.has_redirect_location:
            return answer.headers["Location"], place
        if known is not None and answer.status_code == UNCHANGED:
            return replace(known, fresh_until=_fresh_until(answer)), place
        _check_status(answer, str(url), place)
        body = _read_body(answer, str(url), limits, deadline)
        return _as_kept(answer, body, str(url)), place
    finally:
        answer.close()


def _if_changed(kept: Kept | None) -> dict[str, str]:
    """Headers that ask for a photo only where it is another than the one that is kept."""
    if kept is None:
        return {}
    asked = {"If-None-Match": kept.etag, "If-Modified-Since": kept.modified}
    return {name: value for name, value in asked.items() if value}


def _as_kept(answer: httpx.Response, body: bytes, final: str) -> Kept:
    """What may be kept of an answer; nothing to ask by where its server forbids that."""
    if "no-store" in answer.headers.get("Cache-Control", "").lower():
        return Kept(body, final)
    return Kept(
        body,
        final,
        answer.headers.get("ETag", ""),
        answer.headers.get("Last-Modified", ""),
        _fresh_until(answer),
    )


def _fresh_until(answer: httpx.Response) -> float:
    told = answer.headers.get("Cache-Control", "").lower()
    age = re.search(r"max-age\s*=\s*\"?(\d{1,10})", told)
    if age is None or "no-cache" in told or "no-store" in told:
        return 0.0
    return time.time() + min(float(age[1]), MOST_FRESH_S) if int(age[1]) else 0.0


def _check_status(answer: httpx.Response, address: str, place: Target) -> None:
    if answer.is_success:
        return
    said = f"Image {shown(address)} answered HTTP {answer.status_code}"
    if answer.status_code in PASSING:
        again_s = retry_after_s(answer.headers)
        wish = f", and is to be asked for again in {again_s:g} s" if again_s else ""
        passing = f"{said}{wish}. That may pass: run again later."
        raise _of_public(ImageUnavailable(passing, again_s=again_s or 0.0), place)
    cure = "Check the address." if answer.status_code in GONE else "Open it in a browser."
    if answer.status_code in PRIVATE:
        cure = "It is not public: share it, or download it and give its path."
    raise _of_public(ImageNotFound(f"{said}. {cure}"), place)


def _of_public(error: ImageError, place: Target) -> ImageError:
    """`error`, open where it tells what a server of the public internet answered."""
    error.is_open = not place.is_private
    return error


def _read_body(answer: httpx.Response, address: str, limits: ImageLimits, deadline: float) -> bytes:
    announced = answer.headers.get("Content-Length", "0")
    if announced.isdigit() and int(announced) > limits.max_bytes:
        raise too_large(address, f"{int(announced):,}", limits)
    body = bytearray()
    for block in answer.iter_bytes():
        body += block
        if len(body) > limits.max_bytes:
            raise too_large(address, f"more than {limits.max_bytes:,}", limits)
        if time.monotonic() > deadline:  # httpx bounds each read, not their sum
            raise _too_slow(address, limits)
    return bytes(body)


def _too_slow(address: str, limits: ImageLimits) -> ImageUnavailable:
    return ImageUnavailable(
        f"Image {shown(address)} did not arrive within {limits.timeout_s:g} s. Run again later, or "
        "download the photo and give its path.",
        again_s=None,
    )
