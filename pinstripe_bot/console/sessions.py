"""The cookie of those who have logged in: signed, so that it needs no table; who, by which way, until when."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import msgspec
from itsdangerous import BadData, URLSafeSerializer
from starlette.responses import Response

from pinstripe_bot.clock import Clock
from pinstripe_bot.console import PREFIX

COOKIE = "pinstripe_console"

VALID_FOR = timedelta(hours=12)

_PATH = f"{PREFIX}/"


class Session(msgspec.Struct, frozen=True):
    """What the cookie says."""

    who: str
    way: str  # "password", "login address"
    until_at: datetime


class Sessions:
    """Makes the cookies and reads them; one that was not made here, or is over, says nothing."""

    def __init__(self, key: bytes, password_hash: str | None, clock: Clock) -> None:
        """Whoever changes the password logs everybody out: its hash is a part of what signs."""
        self._signer = URLSafeSerializer(
            key,
            salt=f"pinstripe console {password_hash or ''}".encode(),
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )
        self._clock = clock

    def read(self, cookie: str | None) -> Session | None:
        """Who has logged in with this cookie; None where nobody has."""
        if not cookie:
            return None
        try:
            session = msgspec.convert(self._signer.loads(cookie), Session)
        except (BadData, msgspec.ValidationError):
            return None
        is_valid = session.until_at.tzinfo is not None and self._clock.now() < session.until_at
        return session if is_valid else None

    def write(self, response: Response, who: str, way: str, *, is_https: bool) -> None:
        """Let the browser be `who` for 12 hours."""
        until_at = self._clock.now() + VALID_FOR
        value = self._signer.dumps({"who": who, "way": way, "until_at": until_at.isoformat()})
        response.set_cookie(
            COOKIE,
            value.decode() if isinstance(value, bytes) else value,
            max_age=int(VALID_FOR.total_seconds()),
            path=_PATH,
            secure=is_https,
            httponly=True,
            samesite="strict",
        )

    def forget(self, response: Response, *, is_https: bool) -> None:
        """Let the browser be nobody."""
        response.delete_cookie(COOKIE, path=_PATH, secure=is_https, httponly=True, samesite="strict")
