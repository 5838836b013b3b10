"""Photos by address: what is fetched from a server on this machine, and what is refused."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

from orchestra.core.errors import (
    ImageError,
    ImageForbidden,
    ImageNotFound,
    ImageTooLarge,
    ImageUnavailable,
    ImageUnreadable,
)
from orchestra.images.intake import normalise
from orchestra.images.limits import ImageLimits
from orchestra.images.naming import shown

LOCAL = ImageLimits(allow_private=True, timeout_s=5, max_bytes=20_000)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), (0, 128, 0)).save(buffer, "PNG")
    return buffer.getvalue()


class PhotoServer(BaseHTTPRequestHandler):
    """Answers by path; counts nothing and knows no photo but one."""

    def do_GET(self) -> None:
        getattr(self, f"_{self.path.strip('/').partition('?')[0]}", self._missing)()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""

    def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _photo(self) -> None:
        self._answer(png())

    def _hop(self) -> None:
        self._answer(b"", 302, Location="/photo")

    def _loop(self) -> None:
        self._answer(b"", 302, Location="/loop")

    def _inside(self) -> None:
        self._answer(b"", 302, Location="http://169.254.169.254/latest/meta-data")

    def _file(self) -> None:
        self._answer(b"", 302, Location="file:///etc/passwd")

    def _page(self) -> None:
        self._answer(b"<!doctype html><html>not a photo</html>")

    def _short(self) -> None:
        self._answer(png()[:40], Content_Length=str(len(png())))

    def _announced(self) -> None:
        self._answer(b"", Content_Length=str(10**9))

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 200_000)

    def _gone(self) -> None:
        self._answer(b"", 410)

    def _forbidden(self) -> None:
        self._answer(b"", 403)

    def _busy(self) -> None:
        self._answer(b"", 503, Retry_After="7")

    def _broken(self) -> None:
        self._answer(b"", 500)

    def _missing(self) -> None:
        self._answer(b"", 404)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), PhotoServer)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize("path", ["photo", "photo?size=large", "hop"])
def test_photo_is_fetched_also_over_a_redirect(server: str, path: str) -> None:
    assert normalise(f"{server}/{path}", limits=LOCAL).size == (12, 8)


def test_host_by_name_is_sent_as_that_name(server: str) -> None:
    address = server.replace("127.0.0.1", "localhost")
    assert normalise(f"{address}/photo", limits=LOCAL).size == (12, 8)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("nothing", ImageNotFound),
        ("gone", ImageNotFound),
        ("forbidden", ImageNotFound),
        ("broken", ImageUnavailable),
        ("busy", ImageUnavailable),
        ("loop", ImageForbidden),
        ("file", ImageForbidden),
        ("page", ImageUnreadable),
        ("short", ImageUnavailable),
        ("announced", ImageTooLarge),
        ("endless", ImageTooLarge),
    ],
)
def test_each_bad_answer_has_its_error(server: str, path: str, error: type[ImageError]) -> None:
    with pytest.raises(error):
        normalise(f"{server}/{path}", limits=LOCAL)


def test_private_address_is_refused_before_anything_is_sent(server: str) -> None:
    with pytest.raises(ImageForbidden, match="allow_private"):
        normalise(f"{server}/photo")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "2130706433",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.5.5",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "224.0.0.1",
    ],
)
def test_every_spelling_of_an_inner_address_is_refused(host: str) -> None:
    with pytest.raises(ImageForbidden):
        normalise(f"http://{host}:9/photo.jpg")


def test_redirect_into_a_private_network_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public name that answers with a redirect inwards; the internet is played by sockets."""
    connected: list[str] = []
    real_resolve, real_connect = socket.getaddrinfo, socket.create_connection
    port = int(server.rpartition(":")[2])

    def resolve(host: str, *args: Any, **options: Any) -> Any:
        return real_resolve("93.184.216.34" if host == "photos.test" else host, *args, **options)

    def connect(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        connected.append(address[0])
        return real_connect(("127.0.0.1", port), *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ImageForbidden, match=r"169\.254\.169\.254"):
        normalise(f"http://photos.test:{port}/inside")
    assert normalise(f"http://photos.test:{port}/photo").size == (12, 8)
    assert connected == ["93.184.216.34"] * 2


@pytest.mark.parametrize("address", ["ftp://example.org/a.jpg", "s3://bucket/a.jpg"])
def test_other_schemes_are_refused_with_a_cure(address: str) -> None:
    with pytest.raises(ImageForbidden, match="Download the photo"):
        normalise(address)


@pytest.mark.parametrize("address", ["http://", "http://[", "https:///a.jpg", "http://a..b/x"])
def test_malformed_address_is_a_typed_error(address: str) -> None:
    with pytest.raises((ImageNotFound, ImageForbidden)):
        normalise(address)


def test_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.jpg"
        with pytest.raises(ImageUnavailable, match="did not arrive") as told:
            normalise(address, limits=ImageLimits(allow_private=True, timeout_s=0.2))
    assert told.value.again_s is None


def test_what_a_server_asks_for_is_told_with_the_error(server: str) -> None:
    with pytest.raises(
        ImageUnavailable, match=r"HTTP 503, and is to be asked for again in 7 s"
    ) as told:
        normalise(f"{server}/busy", limits=LOCAL)
    assert (told.value.again_s, told.value.retryable) == (7.0, True)


def test_a_closed_port_may_be_open_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ImageUnavailable, match="cannot be fetched now"):
        normalise(f"http://127.0.0.1:{port}/a.jpg", limits=LOCAL)


def test_password_and_long_data_stay_out_of_messages() -> None:
    assert shown("https://user:secret@example.org/a.jpg") == "'https://example.org/a.jpg'"
    assert len(shown("data:image/png;base64," + "A" * 10_000)) < 130


@pytest.mark.parametrize("cell", ["file://[shirt/a.jpg", "data:image/png;base64,\ud800"])
def test_a_cell_that_is_no_address_is_an_error_of_that_photo_alone(cell: str) -> None:
    with pytest.raises(ImageError):
        normalise(cell)
    with pytest.raises(ImageError):
        normalise(cell, limits=ImageLimits(allow_files=False))
