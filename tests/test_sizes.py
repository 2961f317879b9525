from __future__ import annotations

import pytest

from pinstripe_bot.errors import InvalidJob
from pinstripe_bot.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("256MB", 256_000_000),
        ("512MiB", 512 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("1.5 GiB", 3 * 2**29),
        (" 1MB ", 10**6),
        ("2000KB", 2_000_000),
        ("1TB", 10**12),
        ("268435456", 268_435_456),
        ("1000000B", 10**6),
        (268_435_456, 268_435_456),
        (1e9, 10**9),
        (10**15, 10**15),
    ],
)
def test_a_size_is_read_as_people_write_it(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written",
    ["", "MB", "lots", "256mb", "256M", "-1MB", "1,5GB", "1.GB", "\u0661GB", True, None, [], float("nan"), "9" * 400],
)
def test_what_is_no_size_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(InvalidJob, match=r'is not a size: write bytes, or .* such as "256MB"'):
        parse_size(written)


@pytest.mark.parametrize("written", [0, -5, 999_999, "999KB", 10**15 + 1, "1001TB", float("inf"), 10**400])
def test_a_size_that_no_process_could_keep_to_is_refused(written: object) -> None:
    with pytest.raises(InvalidJob, match="write one from 1MB to 1000TB"):
        parse_size(written)


@pytest.mark.parametrize("written", ["300MB", "100MiB", "1500MB", "2GiB", "1TB", "1000001B"])
def test_a_size_is_told_as_people_write_it(written: str) -> None:
    assert format_size(parse_size(written)) == written
