"""What must not be shown: secrets in settings, parameters and URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "redacted"

_SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "token", "secret", "key", "credential"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_URL_PASSWORD = re.compile(r"(//[^:@/?#\s]*:)(?:[^?#\s]*@|[^\s]*@)")
_ASSIGNMENT = re.compile(r"""\b([\w-]+)=('[^']*'|"[^"]*"|[^&\s#;,]+)""")


def is_secret(key: str) -> bool:
    """Whether a word of the key, at any level of it, names a secret: "app.smtp.password", "apiKey"."""
    words = [word.lower() for word in _WORDS.findall(key)]
    return any(word.removesuffix("s") in _SECRET_WORDS or word.endswith("password") for word in words)


def redact(key: str, value: Any) -> Any:
    """`value` as it may be shown: secrets are replaced, at any depth; None and "" are left."""
    if value is None or value == "":
        return value
    if is_secret(key):
        return REDACTED
    if isinstance(value, Mapping):
        return {name: redact(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact("", item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_text(text: str) -> str:
    """`text` without the passwords of its URLs (`postgresql://user:***@host/db`) or pairs like `password=x`.

    Rather too much than too little: a password that holds an unescaped @ or / disappears whole.
    """
    return _ASSIGNMENT.sub(_redact_assignment, _URL_PASSWORD.sub(r"\1***@", text))


def _redact_assignment(match: re.Match[str]) -> str:
    return f"{match[1]}=***" if is_secret(match[1]) else match[0]
