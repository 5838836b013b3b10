"""A photo that is kept is fetched again only where it changed; nobody leads into a network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestra.core.errors import ImageForbidden, ImageNotFound, ImageTooLarge, ImageUnreadable
from orchestra.images.download import Kept, download
from orchestra.images.fetch import read_source
from orchestra.images.limits import ImageLimits
from tests.photo_files import encoded, marked

LOCAL = ImageLimits(allow_private=True, timeout_s=5)
PHOTO, OTHER = encoded(marked()), encoded(marked(32, 24))


@dataclass
class Shelf:
    """Downloads in memory."""

    kept: dict[str, Kept] = field(default_factory=dict)

    def get(self, address: str) -> Kept | None:
        return self.kept.get(address)

    def put(self, address: str, kept: Kept) -> None:
        self.kept[address] = kept


class Server(ThreadingHTTPServer):
    """Answers each path with `body` and `headers`, or 304 to who has it; notes what was asked."""

    body = PHOTO
    headers: dict[str, str]
    asked: list[tuple[str, str | None, str | None]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.headers, self.asked = {}, []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        known, since = self.headers["If-None-Match"], self.headers["If-Modified-Since"]
        self.server.asked.append((self.path, known, since))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/photo")
        else:
            told = self.server.headers
            is_same = (known and known == told.get("ETag")) or (
                since and since == told.get("Last-Modified")
            )
            self.send_response(304 if is_same else 200)
            for name, value in told.items():
                self.send_header(name, value)
            if not is_same:
                self.send_header("Content-Length", str(len(self.server.body)))
                self.end_headers()
                self.wfile.write(self.server.body)
                return
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize(
    "headers", [{"ETag": '"v1"'}, {"Last-Modified": "Sun, 01 Nov 2026 10:00:00 GMT"}]
)
def test_a_photo_that_is_the_same_is_not_sent_again(
    server: Server, headers: dict[str, str]
) -> None:
    server.headers, shelf = headers, Shelf()
    for _ in range(3):
        assert download(f"{server.address}/photo", LOCAL, shelf) == PHOTO
    assert [any(asked[1:]) for asked in server.asked] == [False, True, True]
    server.headers = {name: value.replace("1", "2", 1) for name, value in headers.items()}
    server.body = OTHER
    assert download(f"{server.address}/photo", LOCAL, shelf) == OTHER
    assert shelf.kept[f"{server.address}/photo"].body == OTHER


def test_a_photo_is_not_asked_for_as_long_as_its_server_says_it_stays(server: Server) -> None:
    server.headers, shelf = {"Cache-Control": "public, max-age=3600"}, Shelf()
    address = f"{server.address}/photo"
    for _ in range(3):
        assert download(address, LOCAL, shelf) == PHOTO
    assert len(server.asked) == 1
    shelf.kept[address] = replace(shelf.kept[address], fresh_until=1.0)
    download(address, LOCAL, shelf)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "headers",
    [{}, {"Cache-Control": "no-store, max-age=60", "ETag": '"v1"'}, {"Cache-Control": "max-age=0"}],
)
def test_what_may_not_be_kept_is_not(server: Server, headers: dict[str, str]) -> None:
    server.headers, shelf = headers, Shelf()
    assert download(f"{server.address}/photo", LOCAL, shelf) == PHOTO
    assert shelf.kept == {}


def test_a_redirect_is_followed_each_time_and_its_end_asked_whether_it_changed(
    server: Server,
) -> None:
    server.headers, shelf = {"ETag": '"v1"'}, Shelf()
    for _ in range(2):
        assert download(f"{server.address}/moved", LOCAL, shelf) == PHOTO
    assert server.asked == [
        ("/moved", None, None),
        ("/photo", None, None),
        ("/moved", None, None),
        ("/photo", '"v1"', None),
    ]


def test_a_kept_photo_is_held_to_the_limit_of_who_reads_it(server: Server) -> None:
    server.headers, shelf = {"ETag": '"v1"'}, Shelf()
    download(f"{server.address}/photo", LOCAL, shelf)
    with pytest.raises(ImageTooLarge):
        download(f"{server.address}/photo", replace(LOCAL, max_bytes=20), shelf)


def test_what_is_kept_of_a_private_network_is_not_for_strangers(server: Server) -> None:
    server.headers, shelf = {"Cache-Control": "max-age=3600"}, Shelf()
    download(f"{server.address}/photo", LOCAL, shelf)
    assert shelf.kept[f"{server.address}/photo"].is_private
    with pytest.raises(ImageForbidden):
        download(f"{server.address}/photo", replace(LOCAL, allow_private=False), shelf)


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fe80::1]", "224.0.0.1", "0.0.0.0", "100.100.100.200", "[fd00:ec2::254]"],
)
def test_what_holds_no_photos_is_refused_in_a_private_network_too(host: str) -> None:
    with pytest.raises(ImageForbidden, match="not a public address"):
        download(f"http://{host}:9/photo.jpg", LOCAL)


def test_a_public_server_does_not_lead_into_a_private_network(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The internet is played by sockets; its server redirects to this machine."""
    port = server.server_port
    real_resolve, real_connect = socket.getaddrinfo, socket.create_connection

    def resolve(host: str, *args: Any, **options: Any) -> Any:
        return real_resolve("93.184.216.34" if host == "photos.test" else host, *args, **options)

    def connect(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        return real_connect(("127.0.0.1", port), *args, **options)

    class Inwards(Answer):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{port}/photo")
            self.send_header("Content-Length", "0")
            self.end_headers()

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    assert download(f"http://photos.test:{port}/photo", LOCAL) == PHOTO
    server.RequestHandlerClass = Inwards
    with pytest.raises(ImageForbidden, match="redirects into a private network"):
        download(f"http://photos.test:{port}/photo", LOCAL)


def test_a_shared_link_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ImageUnreadable, match=r"Google Drive link.*uc\?export=download"):
        read_source("drive.google.com/file/d/1AbCdEfGhIjK/view", None, LOCAL)


@pytest.mark.parametrize(
    "spelling", ["{}/a b.jpg", "{}\\a%20b.jpg,", '"{}/a b.jpg"', "{}/写真.jpg"]
)
def test_an_oddly_written_address_is_fetched(server: Server, spelling: str) -> None:
    assert read_source(spelling.format(server.address), None, LOCAL) == PHOTO
    assert server.asked[0][0] in ("/a%20b.jpg", "/%E5%86%99%E7%9C%9F.jpg")


def test_a_photo_behind_a_login_says_so(server: Server) -> None:
    class Closed(Answer):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server.RequestHandlerClass = Closed
    with pytest.raises(ImageNotFound, match="It is not public: share it"):
        download(f"{server.address}/photo", LOCAL)
