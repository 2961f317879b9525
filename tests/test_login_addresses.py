from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pinstripe_bot.errors import CannotServe, InvalidConfig
from pinstripe_bot.login_addresses import LoginAddresses, login_url, server_url, signing_key
from pinstripe_bot.testing import TravelClock


@pytest.fixture
def addresses(tmp_path: Path, clock: TravelClock) -> LoginAddresses:
    return LoginAddresses(tmp_path / ".pinstripe", clock)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files(root: Path) -> list[Path]:
    return sorted((root / ".pinstripe" / "logins").iterdir())


def test_a_secret_logs_in_once(addresses: LoginAddresses) -> None:
    secret = addresses.issue()

    answers = [addresses.spend(secret), addresses.spend(secret)]

    assert answers == [True, False]


def test_looking_at_a_secret_does_not_spend_it(addresses: LoginAddresses) -> None:
    secret = addresses.issue()

    assert addresses.is_valid(secret)
    assert addresses.is_valid(secret)
    assert addresses.spend(secret)
    assert not addresses.is_valid(secret)


def test_a_secret_is_valid_for_ten_minutes(addresses: LoginAddresses, clock: TravelClock) -> None:
    early, late = addresses.issue(), addresses.issue()

    clock.travel(minutes=9, seconds=59)
    assert addresses.spend(early)
    clock.travel(seconds=1)
    assert not addresses.spend(late)


def test_a_clock_that_was_set_back_makes_no_secret_last(addresses: LoginAddresses, clock: TravelClock) -> None:
    secret = addresses.issue()

    clock.jump(hours=-1)

    assert not addresses.spend(secret)


@pytest.mark.parametrize("secret", ["", "guess", "../console.key", "\x00", "\udc80", "x" * 100_000])
def test_what_was_never_issued_does_not_log_in(addresses: LoginAddresses, secret: str) -> None:
    assert not addresses.spend(secret)
    addresses.issue()
    assert not addresses.spend(secret)


def test_old_secrets_are_swept(addresses: LoginAddresses, clock: TravelClock, tmp_path: Path) -> None:
    for _ in range(3):
        addresses.issue()
    clock.travel(minutes=11)

    addresses.issue()

    assert len(files(tmp_path)) == 1


def test_the_files_are_private_and_tell_nothing(addresses: LoginAddresses, tmp_path: Path) -> None:
    secret = addresses.issue()

    (file,) = files(tmp_path)
    assert secret not in str(file)
    assert file.read_bytes() == b""
    assert [mode_of(path) for path in (file, file.parent, file.parent.parent)] == [0o600, 0o700, 0o700]


def test_of_many_threads_that_spend_a_secret_one_logs_in(addresses: LoginAddresses) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            secret = addresses.issue()

            answers = list(pool.map(addresses.spend, [secret] * 8))

            assert answers.count(True) == 1


RACE = """
import sys
from pathlib import Path
from pinstripe_bot.login_addresses import LoginAddresses
from pinstripe_bot.testing import TravelClock
addresses = LoginAddresses(Path(sys.argv[1]), TravelClock())
print("ready", flush=True)
sys.stdin.readline()
print(sum(addresses.spend(secret) for secret in sys.argv[2:]), flush=True)
"""


def test_of_two_processes_that_spend_a_secret_one_logs_in(addresses: LoginAddresses, tmp_path: Path) -> None:
    secrets = [addresses.issue() for _ in range(200)]
    command = [sys.executable, "-c", RACE, str(tmp_path / ".pinstripe"), *secrets]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"

    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    spent = [int(one.communicate(timeout=30)[0]) for one in both]

    assert sum(spent) == 200
    assert files(tmp_path) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, clock: TravelClock) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(CannotServe, match="let this user write there"):
        LoginAddresses(tmp_path / ".pinstripe", clock).issue()


def test_a_file_in_the_way_is_one_sentence(tmp_path: Path, clock: TravelClock) -> None:
    (tmp_path / ".pinstripe").touch()

    with pytest.raises(CannotServe, match="cannot be used for logins"):
        LoginAddresses(tmp_path / ".pinstripe", clock).issue()
    with pytest.raises(CannotServe, match="cannot be used for logins"):
        signing_key(tmp_path / ".pinstripe")


# The key


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    first, second = signing_key(tmp_path / ".pinstripe"), signing_key(tmp_path / ".pinstripe")

    assert first == second
    assert len(first) == 32
    assert mode_of(tmp_path / ".pinstripe" / "console.key") == 0o600
    assert [path.name for path in (tmp_path / ".pinstripe").iterdir()] == ["console.key"]


def test_all_who_make_the_key_at_the_same_time_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(signing_key, [tmp_path / ".pinstripe"] * 8))

    assert len(keys) == 1


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "console.key").write_bytes(b"short")

    with pytest.raises(CannotServe, match=r"console\.key is no key of 32 bytes: remove it"):
        signing_key(tmp_path)


# Where to open it


@pytest.mark.parametrize(
    ("addresses", "url"),
    [
        ([("127.0.0.1", 3000)], "http://127.0.0.1:3000"),
        ([("10.0.0.5", 80), ("localhost", 3001)], "http://localhost:3001"),
        ([("0.0.0.0", 3000)], "http://127.0.0.1:3000"),
        ([("::", 3000)], "http://[::1]:3000"),
    ],
)
def test_the_address_is_the_one_that_this_machine_reaches(addresses: list[tuple[str, int]], url: str) -> None:
    assert server_url(addresses, is_protected=False) == url


def test_a_protected_console_is_reached_from_afar() -> None:
    assert login_url(server_url([("10.0.0.5", 80)], is_protected=True), "x") == (
        "http://10.0.0.5:80/_pinstripe/login?key=x"
    )


def test_where_no_console_is_shown_there_is_no_address() -> None:
    with pytest.raises(InvalidConfig, match=r"on none of the addresses in server\.host"):
        server_url([("10.0.0.5", 80)], is_protected=False)
