from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pinstripe_bot.errors import BrokenFile
from pinstripe_bot.loader import LoadedFile, Loader
from pinstripe_bot.schedule import Place

JOBS = "lib/background_jobs"


@pytest.fixture
def load(write_project):
    """Writes files into the job folder and loads the first of them."""

    def load(files: dict[str, str | bytes], name: str = "project") -> LoadedFile:
        root = write_project({f"{JOBS}/{path}": text for path, text in files.items()}, name)
        return Loader(root).load(root / JOBS / next(iter(files)), root / JOBS, "background_jobs")

    return load


@pytest.fixture
def broken(load):
    """The error of a file that cannot be imported."""

    def broken(files: dict[str, str | bytes]) -> tuple[str, int | None, str]:
        with pytest.raises(BrokenFile) as caught:
            load(files)
        return (caught.value.path, caught.value.line, str(caught.value))

    return broken


def test_a_file_has_a_module_of_its_own_under_a_private_name(load):
    loaded = load({"cleanup.py": "LIMIT = 5"})

    assert loaded.module.LIMIT == 5
    assert loaded.module.__name__.startswith("_pinstripe_")
    assert loaded.module.__name__.endswith(".background_jobs.cleanup")
    assert loaded.module.__file__ == str(loaded.path)


def test_two_projects_may_have_files_of_the_same_name(load):
    books = load({"cleanup.py": "NAME = 'books'"}, "books")
    shoes = load({"cleanup.py": "NAME = 'shoes'"}, "shoes")

    assert (books.module.NAME, shoes.module.NAME) == ("books", "shoes")
    assert sys.modules[books.module.__name__] is books.module


def test_a_file_can_import_another_one_of_its_folder(load):
    loaded = load({"cleanup.py": "from ._base import LIMIT", "_base.py": "LIMIT = 5"})

    assert loaded.module.LIMIT == 5


def test_a_file_in_a_subfolder_can_import_from_the_folder_above(load):
    loaded = load(
        {
            "reports/monthly.py": "from .._base import LIMIT\nfrom . import _tables",
            "_base.py": "LIMIT = 5",
            "reports/_tables.py": "",
        }
    )

    assert loaded.module.LIMIT == 5
    assert loaded.module._tables.__name__.endswith(".background_jobs.reports._tables")


def test_a_file_may_be_imported_by_another_one_and_runs_once(write_project, tmp_path):
    root = write_project(
        {
            f"{JOBS}/a_report.py": "from .cleanup import LIMIT",
            f"{JOBS}/cleanup.py": f"LIMIT = 5\nwith open({str(tmp_path / 'runs')!r}, 'a') as runs: runs.write('x')",
        }
    )
    loader = Loader(root)
    loader.load(root / JOBS / "a_report.py", root / JOBS, "background_jobs")

    loader.load(root / JOBS / "cleanup.py", root / JOBS, "background_jobs")

    assert (tmp_path / "runs").read_text() == "x"


def test_a_folder_may_have_an_init_file(load):
    loaded = load({"cleanup.py": "from . import LIMIT", "__init__.py": "LIMIT = 5"})

    assert loaded.module.LIMIT == 5


def test_a_broken_init_file_is_told_by_its_own_name(broken):
    path, line, _ = broken({"cleanup.py": "", "__init__.py": "\n1 / 0"})

    assert (path, line) == (f"{JOBS}/__init__.py", 2)


def test_a_file_beside_a_folder_of_the_same_name_is_another_one(write_project):
    root = write_project({f"{JOBS}/reports.py": "NAME = 'all'", f"{JOBS}/reports/monthly.py": "NAME = 'monthly'"})
    loader = Loader(root)

    loaded = [
        loader.load(root / JOBS / path, root / JOBS, "background_jobs").module.NAME
        for path in ("reports/monthly.py", "reports.py")
    ]

    assert loaded == ["monthly", "all"]


def test_a_dot_in_the_name_of_a_file_is_no_package(load):
    loaded = load({"v1.cleanup.py": "from ._base import LIMIT", "_base.py": "LIMIT = 5"})

    assert loaded.module.LIMIT == 5


def test_a_file_edited_twice_within_a_second_is_read_twice(load):
    load({"cleanup.py": "LIMIT = 5"})

    assert load({"cleanup.py": "LIMIT = 6"}).module.LIMIT == 6


def test_an_imported_file_edited_twice_within_a_second_is_read_twice(load):
    load({"cleanup.py": "from ._base import LIMIT", "_base.py": "LIMIT = 5"})

    loaded = load({"cleanup.py": "from ._base import LIMIT", "_base.py": "LIMIT = 6"})

    assert loaded.module.LIMIT == 6


def test_nothing_is_written_into_the_folder_of_the_jobs(load):
    loaded = load({"cleanup.py": "from . import _base", "_base.py": ""})

    assert sorted(path.name for path in loaded.path.parent.iterdir()) == ["_base.py", "cleanup.py"]


def test_a_relative_import_inside_a_function_works_after_loading(load):
    loaded = load({"cleanup.py": "def run():\n    from ._base import LIMIT\n    return LIMIT", "_base.py": "LIMIT = 5"})

    assert loaded.module.run() == 5


def test_the_root_comes_first_on_the_import_path(write_project):
    books, shoes = write_project({}, "books"), write_project({}, "shoes")
    Loader(books)
    Loader(shoes)

    Loader(books)

    assert sys.path[0] == str(books)
    assert sys.path.count(str(books)) == 1


def test_a_file_can_import_the_packages_of_its_project(write_project):
    root = write_project({"bookshop/prices.py": "PRICE = 9", f"{JOBS}/cleanup.py": "from bookshop.prices import PRICE"})

    loaded = Loader(root).load(root / JOBS / "cleanup.py", root / JOBS, "background_jobs")

    assert loaded.module.PRICE == 9


@pytest.mark.parametrize("path", ["wares.py", "wares/__init__.py", "lib/wares.py"])
def test_two_projects_may_have_packages_of_the_same_name(write_project, path):
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    prices = []
    for name in ("books", "shoes"):
        root = write_project({path: f"NAME = {name!r}", f"{JOBS}/cleanup.py": f"from {module} import NAME"}, name)
        loaded = Loader(root).load(root / JOBS / "cleanup.py", root / JOBS, "background_jobs")
        prices.append(loaded.module.NAME)

    assert prices == ["books", "shoes"]


def test_loading_again_leaves_the_packages_of_the_process_as_they_are(write_project):
    root = write_project({"wares.py": "", f"{JOBS}/cleanup.py": "import wares"})
    first = Loader(root).load(root / JOBS / "cleanup.py", root / JOBS, "background_jobs").module.wares

    second = Loader(root).load(root / JOBS / "cleanup.py", root / JOBS, "background_jobs").module.wares

    assert first is second


def test_dataclasses_and_annotations_find_their_module(load):
    loaded = load(
        {
            "cleanup.py": "from __future__ import annotations\nfrom dataclasses import dataclass\n"
            "@dataclass\nclass Range:\n    low: int = 1"
        }
    )

    assert loaded.module.Range().low == 1


def test_our_own_future_imports_do_not_reach_their_file(load):
    loaded = load({"cleanup.py": "def run(days: int): ..."})

    assert loaded.module.run.__annotations__ == {"days": int}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\ndef run(:\n", 2, "invalid syntax"),
        ("x = 1\nimport nowhere\n", 2, "ModuleNotFoundError: No module named 'nowhere'"),
        ("x = 1\n\nraise KeyError('REGION')", 3, "KeyError: 'REGION'"),
        ("import sys\nsys.exit(3)", 2, "SystemExit: 3"),
        ("def f():\n    return 1 / 0\nf()", 2, "ZeroDivisionError: division by zero"),
        ("x = 1\ncompile('(', 'nothing', 'eval')", 2, "SyntaxError: '(' was never closed (nothing, line 1)"),
        ("from ._missing import x", 1, "ModuleNotFoundError: No module named"),
        ("from . import missing", 1, "ImportError: cannot import name 'missing'"),
        ("def f(): f()\nf()", 1, "RecursionError: maximum recursion depth exceeded"),
        (b"name = '\xe9'", 1, "(unicode error) 'utf-8' codec can't decode byte 0xe9"),
        (b"x = 1\0", 1, "source code string cannot contain null bytes"),
        ("# coding: klingon\n", 1, "unknown encoding"),
    ],
)
def test_a_broken_file_is_told_with_its_line(broken, text, line, message):
    path, told_line, told = broken({"cleanup.py": text})

    assert (path, told_line) == (f"{JOBS}/cleanup.py", line)
    assert message in told


def test_a_file_in_another_encoding_says_so_itself(load):
    loaded = load({"cleanup.py": "# coding: latin-1\nNAME = 'é'\n".encode("latin-1")})

    assert loaded.module.NAME == "é"


def test_a_syntax_error_in_an_imported_file_is_told_there(broken):
    path, line, _ = broken({"cleanup.py": "from ._base import x", "_base.py": "x = 1\ny = ("})

    assert (path, line) == (f"{JOBS}/_base.py", 2)


def test_an_error_in_an_imported_file_is_told_at_the_import(broken):
    path, line, message = broken({"cleanup.py": "\nfrom ._base import x", "_base.py": "1 / 0"})

    assert (path, line) == (f"{JOBS}/cleanup.py", 2)
    assert message == "ZeroDivisionError: division by zero"


def test_an_error_of_ours_is_told_without_its_type(broken):
    _, line, message = broken(
        {"cleanup.py": "from pinstripe_bot import background_job\n\n@background_job('* * * * *')\nclass Cleanup: ..."}
    )

    assert line == 3
    assert message.startswith("@background_job stands over")


def test_a_broken_file_leaves_no_module_behind(broken):
    before = set(sys.modules)

    broken({"cleanup.py": "1 / 0"})

    assert not [name for name in set(sys.modules) - before if name.endswith(".background_jobs.cleanup")]


def test_a_file_that_cannot_be_read_is_broken(write_project):
    root = write_project({})

    with pytest.raises(BrokenFile, match="FileNotFoundError"):
        Loader(root).load(root / JOBS / "gone.py", root / JOBS, "background_jobs")


def test_classes_functions_and_attributes_have_places(load):
    loaded = load({"cleanup.py": "class A:\n    x = 1\n    y: int = 2\n    def run(self): ...\n\nasync def f(): ..."})

    places = [loaded.place_of(name).line for name in ("A", "A.x", "A.y", "A.run", "f")]

    assert places == [1, 2, 3, 4, 6]


def test_what_is_not_written_in_the_file_has_the_place_of_the_next_name(load):
    loaded = load({"cleanup.py": "\nclass A: ..."})

    assert loaded.place_of("A.x", "A") == Place(f"{JOBS}/cleanup.py", 2)


def test_a_name_that_is_nowhere_has_the_first_line(load):
    loaded = load({"cleanup.py": "from os import *"})

    assert loaded.place_of("path") == Place(f"{JOBS}/cleanup.py", 1)


def test_a_place_outside_of_the_project_is_shown_whole(load):
    loaded = load({"cleanup.py": ""})

    assert str(loaded.place_at(Path("/opt/shared/_base.py"), 7)) == "/opt/shared/_base.py:7"


@pytest.mark.parametrize(
    "statement", ["raise BaseException('no')", "raise SystemExit(3)", "import asyncio; raise asyncio.CancelledError"]
)
def test_whatever_a_file_raises_is_told_and_hides_no_other(broken, statement):
    _, line, message = broken({"cleanup.py": statement})

    assert line == 1
    assert message
