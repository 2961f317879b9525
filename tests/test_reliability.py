"""Every test that docs/reliability.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reliability.md"


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`: `(test_\w+)`", PAGE.read_text())

    missing = [f"{file}: {name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]

    assert missing == []
    assert len(named) > 30
