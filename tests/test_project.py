from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pinstripe_bot.errors import InvalidConfig, InvalidProject, UnknownJob, UnknownService
from pinstripe_bot.project import Project, find_problems

CLEANUP = "lib/background_jobs/cleanup.py"
JOB = "from pinstripe_bot import background_job\n@background_job('* * * * *')\ndef job(workspace): return __name__\n"
BROKEN = "1 / 0"
SERVICE = "def create(workspace): return 'a service'"


def jobs(**texts: str) -> dict[str, str]:
    """Files of the job folder by name: `reports__monthly` is reports/monthly.py."""
    return {f"lib/background_jobs/{name.replace('__', '/')}.py": text for name, text in texts.items()}


def told(project: Project) -> list[str]:
    return [str(problem) for problem in project.problems]


def test_each_file_is_a_job_named_by_its_path(load_project):
    project = load_project(jobs(cleanup=JOB, reports__MonthlyReport=JOB))

    assert list(project.jobs) == ["cleanup", "reports/monthly-report"]
    assert project.problems == ()


def test_a_file_or_folder_that_begins_with_an_underscore_is_no_job(load_project):
    project = load_project(jobs(_base=BROKEN, _old__cleanup=BROKEN, reports___shared=BROKEN) | jobs(__init__=""))

    assert (dict(project.jobs), project.problems) == ({}, ())


def test_hidden_files_and_other_files_are_no_jobs(load_project):
    files = {"lib/background_jobs/.cleanup.py": BROKEN, "lib/background_jobs/README.md": "", **jobs(cleanup=JOB)}

    assert list(load_project(files).jobs) == ["cleanup"]


def test_a_folder_whose_name_ends_like_a_file_is_no_job(load_project):
    project = load_project({"lib/background_jobs/old.py/notes.txt": "", **jobs(cleanup=JOB)})

    assert (list(project.jobs), project.problems) == (["cleanup"], ())


@pytest.mark.parametrize("name", ["purge_old_sessions", "purge-old-sessions", "PurgeOldSessions", "Purge Old Sessions"])
def test_a_job_is_found_by_its_name_in_any_case(load_project, name):
    project = load_project(jobs(PurgeOldSessions=JOB))

    assert project.job(name).name == "purge-old-sessions"


def test_an_unknown_job_is_told_with_the_close_names(load_project):
    project = load_project(jobs(cleanup=JOB, report=JOB))

    with pytest.raises(UnknownJob, match="no job 'clean-up' in lib/background_jobs: did you mean 'cleanup'"):
        project.job("clean_up")


def test_a_broken_job_is_told_with_what_is_wrong(load_project):
    project = load_project(jobs(cleanup=BROKEN))

    with pytest.raises(UnknownJob, match=f"the job 'cleanup' cannot be loaded: {CLEANUP}:1: ZeroDivisionError"):
        project.job("Cleanup")


def test_two_files_for_one_name_are_a_problem_and_neither_is_a_job(load_project):
    project = load_project(jobs(purge_old=JOB, PurgeOld=JOB, report=JOB))

    assert list(project.jobs) == ["report"]
    assert told(project) == [
        "lib/background_jobs/purge_old.py:1: lib/background_jobs/PurgeOld.py has the same name 'purge-old':"
        " rename one of the two"
    ]
    assert project.broken_jobs == {"purge-old"}


def test_a_file_and_a_folder_of_the_same_name_are_two_jobs(load_project):
    project = load_project(jobs(reports=JOB, reports__monthly=JOB))

    assert set(project.jobs) == {"reports", "reports/monthly"}


def test_every_broken_file_is_told_at_once_and_hides_no_sound_one(load_project):
    class_form = "from pinstripe_bot import BackgroundJob, background_job\n"
    project = load_project(
        jobs(
            syntax="def run(:",
            imports="\nimport nowhere",
            exits="import sys\nsys.exit()",
            cron=JOB.replace("* * * * *", "61 * * * *"),
            option=JOB.replace("')", "', overlapp='skip')"),
            empty="",
            two=JOB + JOB[len("from pinstripe_bot import background_job\n") :].replace("def job", "def other"),
            meta=class_form + "class Job(BackgroundJob):\n    def meta(cls): ...\n    def run(self): ...",
            generator=JOB.replace("return", "yield"),
            norun=class_form + "\nclass Job(BackgroundJob): ...",
            sound=JOB,
        )
    )

    assert list(project.jobs) == ["sound"]
    places = {problem.job: (problem.place.path, problem.place.line) for problem in project.problems}
    lines = {
        "cron": 2, "empty": 1, "exits": 2, "generator": 3, "imports": 2, "meta": 3, "norun": 3, "option": 2,
        "syntax": 1, "two": 5,
    }  # fmt: skip
    assert places == {job: (f"lib/background_jobs/{job}.py", line) for job, line in lines.items()}
    assert len(project.problems) == len(lines)


def test_a_file_without_a_job_is_told_what_to_write(load_project):
    (problem,) = told(load_project(jobs(cleanup="LIMIT = 5")))

    assert problem.startswith(f"{CLEANUP}:1: there is no job in this file: write a class")


def test_two_jobs_in_a_file_are_told_by_name_and_the_place_of_the_second(load_project):
    text = """
        from pinstripe_bot import BackgroundJob
        class Zebra(BackgroundJob):
            def run(self): ...
        class Ape(Zebra): ...
        """

    (problem,) = told(load_project(jobs(cleanup=text)))

    assert problem.startswith(f"{CLEANUP}:5: there is more than one job in this file, Zebra and Ape")


def test_a_second_name_for_a_job_is_no_second_job(load_project):
    assert told(load_project(jobs(cleanup=JOB + "other = job"))) == []


def test_an_imported_job_is_not_one_of_this_file(load_project):
    text = """
        from pinstripe_bot import BackgroundJob
        from .cleanup import job
        class Report(BackgroundJob):
            def run(self): ...
        """

    project = load_project(jobs(cleanup=JOB, report=text))

    assert project.problems == ()
    assert project.job("report").author.__name__ == "Report"


def test_a_base_class_of_another_file_is_not_a_job_of_this_one(load_project):
    base = "from pinstripe_bot import BackgroundJob\nclass Base(BackgroundJob):\n    def run(self): return self.table"

    project = load_project(jobs(_base=base, cleanup="from ._base import Base\nclass Cleanup(Base):\n    table = 'a'"))

    assert project.problems == ()
    assert project.job("cleanup").author.__name__ == "Cleanup"


def test_a_wrong_schedule_of_a_base_class_is_told_where_it_is_written(load_project):
    base = """
        from pinstripe_bot import BackgroundJob
        class Base(BackgroundJob):
            @classmethod
            def meta(cls):
                cls.schedule("61 * * * *")
            def run(self): ...
        """

    (problem,) = load_project(jobs(_base=base, cleanup="from ._base import Base\nclass Cleanup(Base): ...")).problems

    assert (str(problem.place), problem.job) == ("lib/background_jobs/_base.py:6", "cleanup")


def test_a_decorator_of_the_project_that_hides_the_function_makes_no_difference(load_project):
    text = """
        from pinstripe_bot import background_job
        from wares import traced

        @background_job("* * * * *")
        @traced
        def cleanup(workspace): ...
        """
    wares = "def traced(function):\n    return lambda *args, **kwargs: function(*args, **kwargs)"

    project = load_project({"wares.py": wares, **jobs(cleanup=text)})

    assert project.problems == ()
    assert project.job("cleanup").place.line == 7


def test_a_decorator_of_the_project_that_declares_a_schedule_makes_a_job(load_project):
    base = """
        from pinstripe_bot import background_job
        def nightly(function):
            return background_job("0 3 * * *")(function)
        """

    project = load_project(
        jobs(_base=base, cleanup="from ._base import nightly\n@nightly\ndef cleanup(workspace): ...")
    )

    assert [schedule.name for schedule in project.schedules] == ["0 3 * * *"]


def test_a_decorator_over_the_job_that_hides_it_is_told(load_project):
    text = JOB.replace("@background_job", "@lambda function: lambda workspace: function(workspace)\n@background_job")

    (problem,) = told(load_project(jobs(cleanup=text)))

    assert "@background_job above its other decorators" in problem


def test_the_jobs_of_two_projects_are_not_mixed_up(load_project):
    books = load_project(jobs(cleanup=JOB.replace("__name__", "'books'")), "books")
    shoes = load_project(jobs(cleanup=JOB.replace("__name__", "'shoes'")), "shoes")

    performed = [project.job("cleanup").perform(None, {}) for project in (books, shoes)]

    assert performed == ["books", "shoes"]


def test_an_edited_job_is_loaded_anew(load_project):
    load_project(jobs(cleanup=JOB.replace("__name__", "'old'")))

    project = load_project(jobs(cleanup=JOB.replace("__name__", "'new'")))

    assert project.job("cleanup").perform(None, {}) == "new"


def test_a_repaired_job_is_sound(load_project):
    load_project(jobs(cleanup=BROKEN))

    assert load_project(jobs(cleanup=JOB)).problems == ()


def test_the_folder_of_the_jobs_can_lie_elsewhere_in_the_project(load_project):
    project = load_project({"pinstripe.toml": 'jobs = "./jobs/"', "jobs/cleanup.py": JOB})

    assert list(project.jobs) == ["cleanup"]
    assert project.job("cleanup").place.path == "jobs/cleanup.py"


@pytest.mark.parametrize("written", ["../elsewhere", "{tmp_path}/elsewhere"])
def test_the_folder_of_the_jobs_can_lie_outside_of_the_project(load_project, tmp_path, written):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cleanup.py").write_text(JOB)

    project = load_project({"pinstripe.toml": f"jobs = '{written.format(tmp_path=tmp_path)}'"})

    assert project.job("cleanup").place.path == f"{tmp_path}/elsewhere/cleanup.py"


def test_the_folder_of_the_jobs_can_be_a_link(load_project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cleanup.py").write_text(JOB)
    (tmp_path / "project" / "lib").mkdir(parents=True)
    (tmp_path / "project" / "lib" / "background_jobs").symlink_to(tmp_path / "elsewhere")

    assert load_project({}).job("cleanup").place.path == CLEANUP


def test_a_link_that_leads_nowhere_is_told(load_project, tmp_path):
    (tmp_path / "project" / "lib" / "background_jobs").mkdir(parents=True)
    (tmp_path / "project" / CLEANUP).symlink_to(tmp_path / "gone.py")

    (problem,) = told(load_project({}))

    assert problem.startswith(f"{CLEANUP}:1: FileNotFoundError")


def test_the_folder_of_the_jobs_can_have_the_name_of_that_of_the_services(load_project):
    project = load_project(
        {"pinstripe.toml": 'jobs = "services"', "services/mailer.py": JOB, "lib/services/mailer.py": SERVICE}
    )

    assert (list(project.jobs), list(project.services), project.problems) == (["mailer"], ["mailer"], ())


def test_a_project_without_jobs_is_empty_and_not_broken(load_project):
    project = load_project({})

    assert (dict(project.jobs), project.schedules, project.problems) == ({}, [], ())


def test_a_folder_that_is_not_there_is_no_project(tmp_path):
    with pytest.raises(InvalidProject, match="is no folder: give the project's root folder"):
        Project.load(tmp_path / "nowhere")


def test_the_root_may_be_written_relative(write_project, monkeypatch):
    root = write_project(jobs(cleanup=JOB))
    monkeypatch.chdir(root.parent)

    project = Project.load("project")

    assert (project.root, project.name) == (root, "project")


def test_wrong_settings_of_all_jobs_are_settings(load_project):
    with pytest.raises(InvalidConfig, match="unknown option 'overlapp'"):
        load_project({"pinstripe.toml": "[job_defaults]\noverlapp = 'skip'"})


def test_the_schedules_come_in_the_order_of_jobs_and_declaration(load_project):
    twice = JOB.replace("@background_job", "@background_job('0 9 * * *')\n@background_job")

    project = load_project(jobs(b=JOB, a=twice))

    assert [(schedule.job, schedule.name) for schedule in project.schedules] == [
        ("a", "0 9 * * *"),
        ("a", "* * * * *"),
        ("b", "* * * * *"),
    ]


# Services


@pytest.mark.parametrize("name", ["mail_sender", "MailSender", "mail-sender"])
def test_a_service_is_found_by_its_name_in_any_case(load_project, name):
    project = load_project({"lib/services/MailSender.py": SERVICE})

    assert project.service(name).name == "mail_sender"


def test_an_unknown_service_is_told_with_the_close_names(load_project):
    project = load_project({"lib/services/mailer.py": SERVICE})

    with pytest.raises(UnknownService, match="there is no service 'mailr': did you mean 'mailer'"):
        project.service("mailr")


def test_a_name_close_to_what_a_workspace_has_is_told_as_well(load_project):
    with pytest.raises(UnknownService, match="did you mean 'database'"):
        load_project({}).service("databse")


def test_a_broken_service_is_a_problem_of_no_job(load_project):
    project = load_project({"lib/services/mailer.py": "\n" + BROKEN, **jobs(cleanup=JOB)})

    assert told(project) == ["lib/services/mailer.py:2: ZeroDivisionError: division by zero"]
    assert list(project.jobs) == ["cleanup"]
    assert project.broken_jobs == set()


def test_a_broken_service_is_told_to_the_job_that_wants_it(load_project):
    project = load_project({"lib/services/mailer.py": BROKEN})

    with pytest.raises(UnknownService, match=r"'mailer' cannot be loaded: lib/services/mailer\.py:1: Zero"):
        project.service("mailer")


@pytest.mark.parametrize("name", ["database", "params", "logger", "clock", "run", "Window", "schedule", "workspace"])
def test_a_service_with_a_name_of_the_workspace_is_refused(load_project, name):
    (problem,) = load_project({f"lib/services/{name}.py": SERVICE}).problems

    assert problem.message == f"a workspace has a {name.lower()!r} of its own: give the file another name"


def test_two_services_of_one_name_are_a_problem(load_project):
    project = load_project({"lib/services/mail_sender.py": SERVICE, "lib/services/MailSender.py": SERVICE})

    assert dict(project.services) == {}
    assert told(project) == [
        "lib/services/mail_sender.py:1: lib/services/MailSender.py has the same name 'mail_sender':"
        " rename one of the two"
    ]


def test_a_service_that_begins_with_an_underscore_is_none(load_project):
    assert dict(load_project({"lib/services/_http.py": BROKEN}).services) == {}


# What lies around the files


def test_a_project_without_jobs_is_a_problem_for_whoever_checks_it(load_project):
    project = load_project({})

    (problem,) = find_problems(project)

    assert problem.message.startswith(f"no job found in {project.root}/lib/background_jobs")


def test_a_sound_project_has_no_problem(load_project):
    assert find_problems(load_project(jobs(cleanup=JOB))) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_folder_of_jobs_that_git_ignores_is_a_problem(load_project, tmp_path):
    project = load_project({".gitignore": "lib/", **jobs(cleanup=JOB)})
    subprocess.run(["git", "init", "-q", str(project.root)], check=True)

    (problem,) = find_problems(project)

    assert problem.message.startswith("git ignores this folder: write `!lib/` into .gitignore")


def test_a_problem_names_its_place(load_project):
    (problem,) = load_project(jobs(cleanup=BROKEN)).problems

    assert str(problem) == f"{CLEANUP}:1: ZeroDivisionError: division by zero"
    assert Path(problem.place.path) == Path(CLEANUP)
