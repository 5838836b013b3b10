"""Tells an address without what opens it: passwords, tokens and signatures.

Whatever may quote an address goes through here: messages, notes, reports, logs.
"""

from __future__ import annotations

import re

ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^\s'\"<>]+", re.IGNORECASE)
USER = re.compile(r"(?<=//)[^/?#\s]*@")
PAIR = re.compile(r"(?<=[?&;#])([^=&;#\s]{1,64})=([^&;#\s]*)")
SECRET = re.compile(
    r"(?:^|[-_.])(?:sig\w*|tokens?|\w*key|key\w*|secret\w*|pass\w*|pwd|auth\w*|cred\w*|policy|hmac"
    r"|hash|sid|session\w*|jwt|code|ticket|otp|ak|sk)(?:$|[-_.])"
    r"|^(?:x|q)-|token|signature|secret|password|apikey",
    re.IGNORECASE,
)
RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w%+/=.~-]{20,}")  # a value nobody would type
GONE = "…"


def redacted(text: str) -> str:
    """`text` with each address in it without user, password, and values that look secret."""
    return ADDRESS.sub(lambda found: _address(found[0]), text) if "//" in text else text


def _address(address: str) -> str:
    return PAIR.sub(_pair, USER.sub("", address))


def _pair(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    is_secret = bool(value) and (SECRET.search(name) or RANDOM.fullmatch(value))
    return f"{name}={GONE}" if is_secret else found[0]
