from __future__ import annotations

import os
from pathlib import Path

from pinstripe_bot.bot_lock import BotLock, boot_id, is_held


def test_a_bot_that_holds_its_lock_is_alive(tmp_path: Path) -> None:
    lock = BotLock(tmp_path)

    assert is_held(lock.path)

    lock.release()


def test_looking_at_a_live_bot_does_not_take_its_lock(tmp_path: Path) -> None:
    lock = BotLock(tmp_path)

    answers = [is_held(lock.path) for _ in range(3)]

    assert answers == [True, True, True]
    lock.release()


def test_a_bot_that_let_go_is_dead_and_leaves_no_file(tmp_path: Path) -> None:
    lock = BotLock(tmp_path)

    lock.release()

    assert is_held(lock.path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_bot_whose_process_was_killed_is_free(tmp_path: Path) -> None:
    lock = BotLock(tmp_path)
    assert lock._descriptor is not None
    os.close(lock._descriptor)  # as the kernel does
    lock._descriptor = None

    assert is_held(lock.path) is False


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert [is_held(tmp_path / "none.lock"), is_held(tmp_path), is_held(Path())] == [None, None, None]


def test_letting_go_twice_is_harmless(tmp_path: Path) -> None:
    lock = BotLock(tmp_path)

    lock.release()
    lock.release()

    assert is_held(lock.path) is None


def test_two_bots_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    one, other = BotLock(tmp_path), BotLock(tmp_path)

    one.release()

    assert is_held(other.path)
    other.release()


def test_the_folder_and_the_lock_are_private(tmp_path: Path) -> None:
    lock = BotLock(tmp_path / "bots")

    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "bots", tmp_path / "bots" / f"{lock.bot}.lock")]

    assert modes == [0o700, 0o600]
    lock.release()


def test_the_boot_id_stays_the_same_until_the_machine_starts_again() -> None:
    assert boot_id() == boot_id()
