from __future__ import annotations

from pathlib import Path

import pytest

from pinstripe_bot.unscoped import unscoped_places

Found = list[tuple[str, str]]


def found_in(root: Path, **files: str) -> Found:
    """What is found in a project of these files, called by their path with `__` for a slash: (place, text)."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [(str(one.place), one.text) for one in unscoped_places(root)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("database.unscoped.orders.count()", [1]),
        ("everyone = (\n    self.database\n    .unscoped\n    .orders\n)", [3]),
        ("getattr(self.database, 'unscoped')\n\nself.database.unscoped.execute(a)", [1, 3]),
        ("both(a.unscoped, b.unscoped)", [1]),
        ("'''an unscoped text'''\n# database.unscoped\nunscoped = 1", []),
        ("def broken(:\n    database.unscoped", []),
    ],
)
def test_each_use_is_found_at_its_line(tmp_path: Path, text: str, lines: list[int]) -> None:
    written = text.splitlines()

    assert found_in(tmp_path, job=text) == [(f"job.py:{line}", written[line - 1].strip()) for line in lines]


def test_the_whole_project_is_read_and_nothing_else(tmp_path: Path) -> None:
    use = "database.unscoped"
    (tmp_path / "env").mkdir()
    (tmp_path / "env/pyvenv.cfg").touch()

    found = found_in(
        tmp_path, shop__reports=use, lib__background_jobs__sweep=use, env__lib__package=use, **{".tox__x": use}
    )

    assert [place for place, _ in found] == ["lib/background_jobs/sweep.py:1", "shop/reports.py:1"]


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "bytes.py").write_bytes(b"\xff\x00 unscoped")

    assert found_in(tmp_path, job="database.unscoped") == [("job.py:1", "database.unscoped")]
