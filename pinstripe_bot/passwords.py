"""Passwords: hashed with scrypt, and compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass

_WRITTEN = re.compile(r"scrypt:(\d{1,7}):(\d{1,2}):(\d{1,2}):([\w-]{22,86}):([\w-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Hash:
    """What `scrypt:n:r:p:salt:digest` says; no $ in it, which shells and Compose files take for a variable."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def read(cls, written: str) -> _Hash:
        match = _WRITTEN.fullmatch(written)
        if match is None:
            raise ValueError("it is no hash of a password: `pinstripe hash-password` prints one")
        n, r, p = (int(part) for part in match.groups()[:3])
        # The limits bound what one login costs: 128 * n * r bytes, 256 MiB at most.
        if n & (n - 1) or not 2**14 <= n <= 2**18 or not 1 <= r <= 8 or not 1 <= p <= 4:
            raise ValueError("its scrypt costs too little or too much: `pinstripe hash-password` prints a good one")
        return cls(n, r, p, _bytes(match[4]), _bytes(match[5]))


def hash_password(password: str) -> str:
    """The hash to keep instead of the password: "scrypt:32768:8:1:...". Two of one password differ."""
    salt = secrets.token_bytes(16)
    digest = _digest(password, _Hash(2**15, 8, 1, salt, b""))
    return f"scrypt:{2**15}:8:1:{_text(salt)}:{_text(digest)}"


def matches(password: str, written: str) -> bool:
    """Whether this is the password of the hash; it takes 0.1 s and 32 MiB, which is its point."""
    wanted = _Hash.read(written)
    return hmac.compare_digest(_digest(password, wanted), wanted.digest)


def check_hash(written: str) -> None:
    """Raise ValueError for what `matches` could not use; the message shows nothing of it."""
    _Hash.read(written)


def _digest(password: str, cost: _Hash) -> bytes:
    # One terminal writes an e with an accent as one sign, the next browser as two.
    typed = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    room = 256 * cost.n * cost.r
    return hashlib.scrypt(typed, salt=cost.salt, n=cost.n, r=cost.r, p=cost.p, maxmem=room, dklen=32)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise ValueError("it is no hash of a password: `pinstripe hash-password` prints one") from error
