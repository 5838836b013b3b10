"""Addresses are told without what opens them."""

from __future__ import annotations

import pytest

from orchestra.core.redact import redacted

S = "deadbeefdeadbeefdeadbeef42"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://shop.example/a.jpg?width=800&v=17", "https://shop.example/a.jpg?width=800&v=17"),
        ("ftp://ann:pw@h/a", "ftp://h/a"),
        ("http://ann:p@w@h/a", "http://h/a"),
        ("//ann:pw@h/a.jpg", "//h/a.jpg"),
        (f"https://b.s3.amazonaws.com/a.jpg?X-Amz-Signature={S}&X-Amz-Credential=AKIA%2F1",
         "https://b.s3.amazonaws.com/a.jpg?X-Amz-Signature=…&X-Amz-Credential=…"),
        (f"https://c.blob.core.windows.net/a.jpg?sv=2024-11-04&se=2026-01-01&sig={S}",
         "https://c.blob.core.windows.net/a.jpg?sv=2024-11-04&se=2026-01-01&sig=…"),
        ("https://h/a?access_token=x1&id=3", "https://h/a?access_token=…&id=3"),
        ("https://h/a?apiKey=abc;size=2", "https://h/a?apiKey=…;size=2"),
        ("https://h/cb#id_token=abc", "https://h/cb#id_token=…"),
        (f"https://h/a?u={S}", "https://h/a?u=…"),
        ("Image 'https://u:p@h/a?sig=q' and 'http://h/b' failed",
         "Image 'https://h/a?sig=…' and 'http://h/b' failed"),
        ("no address: a//b? maybe ann@shop.example", "no address: a//b? maybe ann@shop.example"),
    ],
)  # fmt: skip
def test_secrets_of_an_address_are_left_out(text: str, told: str) -> None:
    assert redacted(text) == told
