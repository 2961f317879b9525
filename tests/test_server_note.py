"""Where the server of a project listens, noted for whoever asks for an address."""

from __future__ import annotations

import os
from pathlib import Path

from pinstripe_bot.login_addresses import ServerNote


def test_a_living_server_is_found_where_it_listens(tmp_path: Path) -> None:
    ServerNote(tmp_path / ".pinstripe").write("http://127.0.0.1:3001")

    assert ServerNote(tmp_path / ".pinstripe").read() == "http://127.0.0.1:3001"


def test_a_server_that_has_stopped_is_not_found(tmp_path: Path) -> None:
    note = ServerNote(tmp_path)
    note.write("http://127.0.0.1:3001")

    note.remove()

    assert note.read() is None


def test_a_server_that_was_killed_is_not_found(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / "server.json").write_text(f'{{"url": "http://127.0.0.1:3001", "pid": {child}}}')

    assert ServerNote(tmp_path).read() is None


def test_another_servers_note_stays(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(f'{{"url": "http://127.0.0.1:3001", "pid": {os.getppid()}}}')

    ServerNote(tmp_path).remove()

    assert ServerNote(tmp_path).read() == "http://127.0.0.1:3001"


def test_nonsense_is_no_note(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text("[]")

    assert ServerNote(tmp_path).read() is None


def test_where_nothing_can_be_written_nothing_is_noted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    note = ServerNote(tmp_path / "file" / ".pinstripe")

    note.write("http://127.0.0.1:3001")

    assert note.read() is None
