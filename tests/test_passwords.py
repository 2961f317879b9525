from __future__ import annotations

import pytest

from pinstripe_bot.passwords import check_hash, hash_password, matches

ANY = "scrypt:32768:8:1:dv7MgJ4Rmx9xCu96oV-C-Q:Z_szVrzY2F1nTaGIG50xFi9QE4ZFtBVcfoBV-TYQx5U"


def test_a_password_matches_its_hash_and_no_other_does() -> None:
    written = hash_password("open sesame")

    assert matches("open sesame", written)
    assert not matches("open sesamE", written)
    assert not matches("", written)


def test_two_hashes_of_one_password_differ() -> None:
    assert hash_password("open sesame") != hash_password("open sesame")


def test_a_hash_shows_nothing_of_the_password() -> None:
    assert "sesame" not in hash_password("sesame")


def test_a_hash_of_another_day_is_still_understood() -> None:
    assert matches("hé", ANY)


def test_an_accent_may_be_typed_in_two_ways() -> None:
    assert matches("he\N{COMBINING ACUTE ACCENT}", ANY)


def test_any_text_may_be_tried() -> None:
    assert not matches("\udc80\x00" * 1000, ANY)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "open sesame",
        ANY + "x",
        ANY[:-1],
        ANY.replace("scrypt", "bcrypt"),
        ANY.replace("32768", "32767"),
        ANY.replace("32768", "2"),
        ANY.replace("32768", "1048576"),
        ANY.replace(":8:1:", ":0:1:"),
        ANY.replace(":8:1:", ":8:99:"),
        ANY + "\n",
    ],
)
def test_what_is_no_hash_is_refused_and_not_shown(written: str) -> None:
    with pytest.raises(ValueError, match="pinstripe hash-password") as caught:
        check_hash(written)

    assert "sesame" not in str(caught.value)
