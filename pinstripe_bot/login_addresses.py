"""Addresses that log in once, and the key that signs cookies: small files beside the ledger, for all processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from pinstripe_bot.clock import Clock
from pinstripe_bot.errors import CannotServe, InvalidConfig

VALID_FOR = timedelta(minutes=10)

KEY_BYTES = 32

PATH = "/_pinstripe/login"

_ON_THIS_MACHINE = {
    "127.0.0.1": "127.0.0.1",
    "localhost": "localhost",
    "::1": "::1",
    "0.0.0.0": "127.0.0.1",
    "::": "::1",
}
"""What a server listens on, and where this machine reaches it then."""


class LoginAddresses:
    """One-time secrets as empty files, named by their hash: whoever reads the folder learns none of them.

    A secret is spent by removing its file, so that it works once whichever process is asked.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        """`folder` is the project's private one, `.pinstripe`."""
        self._folder = folder / "logins"
        self._clock = clock

    def issue(self) -> str:
        """A fresh secret, valid for 10 minutes. Raises CannotServe where it cannot be written."""
        secret = secrets.token_urlsafe(32)
        now_s = self._clock.now().timestamp()
        try:
            _make_private(self._folder)
            self._sweep()
            file = self._file(secret)
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            os.utime(file, (now_s, now_s))
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        return secret

    def is_valid(self, secret: str) -> bool:
        """Whether it would log in now; changes nothing."""
        return self._is_fresh(self._file(secret))

    def spend(self, secret: str) -> bool:
        """Whether it logs in; it never does again. Of several who ask at the same time one hears yes."""
        file = self._file(secret)
        if not self._is_fresh(file):
            return False
        try:
            file.unlink()
        except FileNotFoundError:  # another one was faster
            return False
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        return True

    def _file(self, secret: str) -> Path:
        return self._folder / hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

    def _is_fresh(self, file: Path) -> bool:
        try:
            made_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        except OSError:
            return False
        # In both directions: a clock that was set back must not make one last for hours.
        return abs(self._clock.now() - made_at) < VALID_FOR

    def _sweep(self) -> None:
        for file in self._folder.iterdir():
            if not self._is_fresh(file):
                file.unlink(missing_ok=True)


def server_url(addresses: Sequence[tuple[str, int]], *, is_protected: bool) -> str:
    """Where a browser on this machine reaches the server that listens on these (host, port): "http://127.0.0.1:3000".

    Raises InvalidConfig where the console is shown on none of them.
    """
    nearest = [(_ON_THIS_MACHINE.get(host, ""), port) for host, port in addresses if host in _ON_THIS_MACHINE]
    if not nearest and not is_protected:
        raise InvalidConfig(
            "the console is shown on none of the addresses in server.host: add 127.0.0.1, or set"
            " console.password_hash, console.token or console.proxy_header"
        )
    host, port = (nearest or list(addresses))[0]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def login_url(server: str, secret: str) -> str:
    """The address to open, of a server such as "http://127.0.0.1:3000"."""
    return f"{server}{PATH}?key={secret}"


class ServerNote:
    """Where the project's server listens, beside the ledger: it may have had to take another port than it was told."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "server.json"

    def write(self, url: str) -> None:
        """Note where this process serves. Where it cannot be written, whoever asks gets what the settings say."""
        with contextlib.suppress(OSError):
            _make_private(self._file.parent)
            self._file.write_bytes(msgspec.json.encode({"url": url, "pid": os.getpid()}))

    def read(self) -> str | None:
        """Where a living server of this project serves; None where none is known."""
        try:
            noted = msgspec.json.decode(self._file.read_bytes(), type=_Noted)
            os.kill(noted.pid, 0)
        except PermissionError:  # it lives, and is somebody else's
            return noted.url
        except (OSError, msgspec.MsgspecError):
            return None
        return noted.url

    def remove(self) -> None:
        """Forget this process's note."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            if msgspec.json.decode(self._file.read_bytes(), type=_Noted).pid == os.getpid():
                self._file.unlink()


class _Noted(msgspec.Struct):
    url: str
    pid: int


def signing_key(folder: Path) -> bytes:
    """The project's key for cookies, made by the first who asks; 32 bytes in `.pinstripe/console.key`.

    Raises CannotServe where it cannot be written or read, or is no key.
    """
    file = folder / "console.key"
    try:
        _make_private(folder)
        if not file.exists():
            _write_once(file, secrets.token_bytes(KEY_BYTES))
        key = file.read_bytes()
    except OSError as error:
        raise _unwritable(folder, error) from error
    if len(key) != KEY_BYTES:
        raise CannotServe(f"{file} is no key of {KEY_BYTES} bytes: remove it, and everybody logs in again")
    return key


def _write_once(file: Path, content: bytes) -> None:
    """Write a whole file, unless another process has done so meanwhile: then its content stands."""
    draft = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        os.link(draft, file)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    """Make the folder and the one above it for this user alone; one that is there stays as it is."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _unwritable(folder: Path, error: OSError) -> CannotServe:
    reason = error.strerror or error
    return CannotServe(f"{folder} cannot be used for logins to the console ({reason}): let this user write there")
