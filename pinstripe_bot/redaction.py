"""What must not be shown: secrets in settings, parameters and URLs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

REDACTED = "redacted"

_SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "token", "secret", "key", "credential"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HARMLESS = frozenset(
    {"host", "port", "user", "dbname", "options", "sslmode", "application_name", "connect_timeout", "mode", "uri"}
)
"""The keys of a database URL's query whose values may be shown."""

_URL_PASSWORD = re.compile(r"(//[^:@/?#\s]*:)(?:[^?#\s]*@|[^\s]*@)")  # its colon may have been forgotten
_URL_QUERY = re.compile(r"((?<!http:)(?<!https:)//[^?#\s]*\?)([^#\s]*)")  # of the web, errors have to tell pages
_NO_URL = re.compile(r"^.*(?=@)|(?<=\?).*$", re.DOTALL)
_PAIR = re.compile(r"([^&=]+)=([^&]+)")
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
    without_passwords = _URL_PASSWORD.sub(r"\1***@", text)
    return _ASSIGNMENT.sub(_redact_assignment, _URL_QUERY.sub(_redact_query, without_passwords))


def _redact_query(match: re.Match[str]) -> str:
    return match[1] + _PAIR.sub(lambda pair: pair[0] if pair[1] in _HARMLESS else f"{pair[1]}=***", match[2])


def conceal(value: Any, secrets: Collection[str]) -> Any:
    """`value` with each of these texts replaced, in its texts at any depth."""
    if not secrets:
        return value
    if isinstance(value, str):
        for secret in sorted(secrets, key=len, reverse=True):
            value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, Mapping):
        return {conceal(name, secrets): conceal(item, secrets) for name, item in value.items()}
    return [conceal(item, secrets) for item in value] if isinstance(value, list | tuple) else value


def redact_no_url(text: str) -> str:
    """What was written for a URL and is none, without whatever may be a password."""
    return _NO_URL.sub("***", text)


def _redact_assignment(match: re.Match[str]) -> str:
    return f"{match[1]}=***" if is_secret(match[1]) else match[0]
