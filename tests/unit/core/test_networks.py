"""Which addresses lie on the public internet."""

from __future__ import annotations

import pytest

from orchestra.core.networks import reach_of

PUBLIC = "8.8.8.8 93.184.216.34 2606:4700::1111 64:ff9b::808:808 2002:808:808::1 ::ffff:8.8.8.8"
PRIVATE = """
    10.0.0.1 127.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 192.0.0.8 192.88.99.1 192.0.2.1 198.18.0.1
    198.51.100.7 203.0.113.9 240.0.0.1 255.255.255.255 0.1.2.3 ::1 ::127.0.0.1 ::8.8.8.8 fec0::1
    fc00::1 fd00::1 64:ff9b:1::1 64:ff9b:1::808:808 64:ff9b::a00:1 ::ffff:10.0.0.1
    ::ffff:0:10.0.0.1 2002:7f00:1:: 2002:a00:1:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1
    2001:20::1 3fff::1 5f00::1 100::1 100:0:0:1::1 2606:4700::5efe:a00:1 2606:4700::200:5efe:a00:1
    """
NEVER = """
    169.254.169.254 169.254.170.2 169.254.0.23 168.63.129.16 100.100.100.200 192.0.0.192
    fd00:ec2::254 fd20:ce::254 0.0.0.0 :: 224.0.0.1 239.255.255.250 ff02::1 fe80::1 fe80::1%eth0
    ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b:1::a9fe:a9fe 2002:a9fe:a9fe:: ::168.63.129.16
    ::ffff:0:168.63.129.16 2606:4700::5efe:a9fe:a9fe
    """


@pytest.mark.parametrize("place", PUBLIC.split())
def test_public_addresses_are_public(place: str) -> None:
    assert reach_of(place) == "public"


@pytest.mark.parametrize("place", PRIVATE.split())
def test_addresses_of_one_s_own_networks_are_private(place: str) -> None:
    assert reach_of(place) == "private"


@pytest.mark.parametrize("place", NEVER.split())
def test_what_keeps_no_photos_is_never_asked(place: str) -> None:
    assert reach_of(place) == "never"


def test_a_name_is_no_address() -> None:
    with pytest.raises(ValueError, match="localhost"):
        reach_of("localhost")
