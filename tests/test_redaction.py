from __future__ import annotations

import pytest

from pinstripe_bot.redaction import is_secret, redact, redact_text


@pytest.mark.parametrize(
    "key",
    ["password", "app.smtp.password", "api_key", "apiKey", "API-TOKEN", "app.secrets.mail", "dbpassword"],
)
def test_a_key_with_a_secret_word_is_secret(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["monkey", "app.keyboard", "tokenizer", "secretary", "ledger.url", ""])
def test_a_word_that_only_contains_one_is_not(key: str) -> None:
    assert not is_secret(key)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:pw@host:5432/db", "postgresql://user:***@host:5432/db"),
        ("redis://:pw@host/0", "redis://:***@host/0"),
        ("postgresql://user:p/w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p@w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p?w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:p#w@host/db?port=1", "postgresql://user:***@host/db?port=1"),
        (
            "postgresql://host/db?user=u&password=pw&sslmode=require",
            "postgresql://host/db?user=u&password=***&sslmode=require",
        ),
        ("host=h password='p w' dbname=d", "host=h password=*** dbname=d"),
        ("GET https://shop/orders?page=3&token=pw", "GET https://shop/orders?page=3&token=***"),
        ("http://127.0.0.1:3000/path", "http://127.0.0.1:3000/path"),
        ("postgresql//user:pw@host/db", "postgresql//user:***@host/db"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("mail shop@example.org at 10:30", "mail shop@example.org at 10:30"),
    ],
)
def test_a_text_keeps_everything_but_its_passwords(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_secrets_are_replaced_at_any_depth() -> None:
    value = {"hosts": [{"name": "a", "password": "pw"}, "https://u:pw@b"], "tokens": {"x": 1}}

    assert redact("app", value) == {
        "hosts": [{"name": "a", "password": "redacted"}, "https://u:***@b"],
        "tokens": "redacted",
    }


@pytest.mark.parametrize("value", [None, ""])
def test_a_secret_that_is_not_set_is_shown_as_such(value: object) -> None:
    assert redact("password", value) == value


def test_a_url_without_its_colon_hides_its_password_too() -> None:
    assert redact_text("postgresql//user:pw@host/db") == "postgresql//user:***@host/db"
    assert redact_text("//user:pw@host/db") == "//user:***@host/db"


def test_of_the_query_of_a_url_only_harmless_values_are_shown() -> None:
    shown = redact_text("postgresql://host/db?passwrd=pw&sslmode=require&application_name=shop and more=1")

    assert shown == "postgresql://host/db?passwrd=***&sslmode=require&application_name=shop and more=1"
