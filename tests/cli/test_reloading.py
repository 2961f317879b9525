"""--reload, as far as it needs no process; tests/system/test_serving.py has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinstripe_bot.cli.reloading import _matters


@pytest.mark.parametrize("root", ["/srv/shop", "/home/ada/.cache/shop"])
@pytest.mark.parametrize(
    ("path", "matters"),
    [
        ("pinstripe.toml", True),
        ("lib/background_jobs/cleanup.py", True),
        ("shop.db", False),
        (".venv/lib/site.py", False),
        (".pinstripe/ledger.db", False),
        ("lib/__pycache__/cleanup.py", False),
        ("lib/.cleanup.py.swp", False),
    ],
)
def test_code_and_settings_matter_wherever_the_project_lies(root: str, path: str, matters: bool) -> None:
    assert _matters(Path(root), None, f"{root}/{path}") is matters
