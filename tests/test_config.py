from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pinstripe_bot.config import (
    SETTINGS,
    Config,
    LoadedConfig,
    Setting,
    TenantsConfig,
    addresses_of,
    describe,
    find_project_root,
    load_config,
    wants_colors,
)
from pinstripe_bot.errors import InvalidConfig, InvalidProject


def loaded(
    root: Path,
    toml: str = "",
    *,
    pyproject: str = "",
    overrides: Mapping[str, Any] | None = None,
    **variables: str,
) -> LoadedConfig:
    """The settings of a project with these files, variables and flags, on a machine in UTC."""
    if toml:
        (root / "pinstripe.toml").write_text(toml, encoding="utf-8")
    if pyproject:
        (root / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    return load_config(root, environ={"TZ": "UTC", **variables}, overrides=overrides)


def problems(root: Path, toml: str = "", **options: Any) -> str:
    with pytest.raises(InvalidConfig) as caught:
        loaded(root, toml, **options)
    return str(caught.value)


def row(settings: LoadedConfig, key: str) -> Setting:
    return next(setting for setting in describe(settings) if setting.key == key)


# Where a value comes from


def test_a_project_without_settings_has_the_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)

    assert settings.config == Config()
    assert set(settings.origins.values()) == {"default", "TZ"}


HASH = "scrypt:32768:8:1:dv7MgJ4Rmx9xCu96oV-C-Q:Z_szVrzY2F1nTaGIG50xFi9QE4ZFtBVcfoBV-TYQx5U"

EVERYTHING = """
jobs = "jobs"
name = "shop"
timezone = "Europe/Berlin"
dispatcher = "cluster"
workers = 3
shutdown_timeout = "5s"
retention = "5d"
database.url = "sqlite:///shop.db"
server = { host = "[::1]:3000", app = "shop:app" }
ledger = { url = "sqlite:///ledger.db", lease = "5s" }
logs = { format = "json", level = "debug" }
console = { read_only = true, hosts = ["console.example"], proxy_header = "X-User", proxy_addresses = ["10.0.0.7"] }
job_defaults.retries = 3
app.address = "help@example.com"

[tenants]
table = "shops"
id_column = "shop"
name_column = "title"
timezone_column = "zone"
tenant_column = "shop"
"""


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    settings = loaded(tmp_path, EVERYTHING, PINSTRIPE_CONSOLE__TOKEN="t" * 16, PINSTRIPE_CONSOLE__PASSWORD_HASH=HASH)

    unset = [setting for setting in SETTINGS if settings.origins.get(setting) == "default"]
    assert unset == []
    assert settings.config.tenants == TenantsConfig("shops", "shop", "title", "zone", "shop")


def test_pinstripe_toml_sets_a_value(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'workers = 3\n[logs]\nlevel = "debug"')

    assert (settings.config.workers, settings.config.logs.level) == (3, "debug")
    assert settings.origins["logs.level"] == "pinstripe.toml"


def test_pyproject_toml_sets_a_value(tmp_path: Path) -> None:
    settings = loaded(tmp_path, pyproject='[project]\nname = "shop"\n[tool.pinstripe.logs]\nformat = "json"')

    assert settings.config.logs.format == "json"
    assert settings.origins["logs.format"] == "pyproject.toml"


def test_a_pyproject_without_our_table_sets_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, pyproject='[project]\nname = "shop"').config == Config()


def test_a_variable_sets_a_value(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PINSTRIPE_LEDGER__URL="sqlite:///ours.db")

    assert settings.config.ledger.url == "sqlite:///ours.db"
    assert settings.origins["ledger.url"] == "PINSTRIPE_LEDGER__URL"


def test_a_flag_sets_a_value(tmp_path: Path) -> None:
    settings = loaded(tmp_path, overrides={"shutdown_timeout": "5s"})

    assert settings.config.shutdown_timeout == timedelta(seconds=5)
    assert settings.origins["shutdown_timeout"] == "--shutdown-timeout"


def test_a_flag_that_was_not_given_sets_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, overrides={"workers": None}).origins["workers"] == "default"


def test_an_empty_variable_sets_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, PINSTRIPE_WORKERS="").origins["workers"] == "default"


@pytest.mark.parametrize(
    ("given", "winner"),
    [
        ({"overrides": {"workers": 5}, "PINSTRIPE_WORKERS": "4"}, "--workers"),
        ({"PINSTRIPE_WORKERS": "4"}, "PINSTRIPE_WORKERS"),
        ({}, "pinstripe.toml"),
    ],
)
def test_the_strongest_origin_wins(tmp_path: Path, given: dict[str, Any], winner: str) -> None:
    settings = loaded(tmp_path, "workers = 3", pyproject="[tool.pinstripe]\nworkers = 2", **given)

    assert settings.origins["workers"] == winner


def test_both_files_are_merged_key_by_key(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "[logs]\nlevel = 'error'",
        pyproject="[tool.pinstripe.logs]\nlevel = 'debug'\nformat = 'json'",
    )

    assert (settings.config.logs.level, settings.config.logs.format) == ("error", "json")


def test_a_wrong_value_does_not_matter_where_a_stronger_one_replaces_it(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'workers = "many"', PINSTRIPE_WORKERS="2").config.workers == 2


def test_pinstripe_host_is_another_name_of_server_host(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PINSTRIPE_HOST="0.0.0.0:80")

    assert settings.config.server.host == "0.0.0.0:80"
    assert settings.origins["server.host"] == "PINSTRIPE_HOST"


def test_the_full_variable_of_server_host_wins_over_the_short_one(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PINSTRIPE_HOST="0.0.0.0:80", PINSTRIPE_SERVER__HOST="0.0.0.0:81")

    assert settings.config.server.host == "0.0.0.0:81"


def test_the_flag_of_server_host_is_host(tmp_path: Path) -> None:
    assert loaded(tmp_path, overrides={"server.host": "[::]:1"}).origins["server.host"] == "--host"


def test_the_timezone_is_the_machines_unless_it_is_set(tmp_path: Path) -> None:
    settings = load_config(tmp_path, environ={"TZ": "Asia/Tokyo"})

    assert settings.config.timezone == "Asia/Tokyo"
    assert settings.origins["timezone"] == "TZ"


def test_a_windows_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "pinstripe.toml").write_bytes(b"\xef\xbb\xbfworkers = 3\r\n[logs]\r\nlevel = 'debug'\r\n")

    settings = loaded(tmp_path)

    assert (settings.config.workers, settings.config.logs.level) == (3, "debug")


# What a value may be


@pytest.mark.parametrize(("written", "seconds"), [('"1h30m"', 5400), ("90", 90), ('"90"', 90), ('"2d"', 172800)])
def test_a_duration_is_written_as_text_or_seconds(tmp_path: Path, written: str, seconds: int) -> None:
    config = loaded(tmp_path, f"shutdown_timeout = {written}").config

    assert config.shutdown_timeout == timedelta(seconds=seconds)


def test_a_number_in_a_variable_is_a_number(tmp_path: Path) -> None:
    assert loaded(tmp_path, PINSTRIPE_WORKERS="12").config.workers == 12


def test_the_projects_own_settings_are_taken_as_they_are(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[app]\nshops = [1, 2]\n[app.smtp]\nport = 25").config

    assert config.app == {"shops": [1, 2], "smtp": {"port": 25}}


def test_a_variable_sets_one_of_the_projects_own_settings_as_text(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        '[app.smtp]\nport = 25\nhost = "mail"',
        PINSTRIPE_APP__SMTP__PORT="587",
        PINSTRIPE_APP__NEW="x",
    )

    assert settings.config.app == {"smtp": {"port": "587", "host": "mail"}, "new": "x"}
    assert settings.origins["app.smtp.port"] == "PINSTRIPE_APP__SMTP__PORT"
    assert settings.origins["app.smtp.host"] == "pinstripe.toml"


def test_the_defaults_of_jobs_are_left_to_the_jobs(tmp_path: Path) -> None:
    config = loaded(tmp_path, '[job_defaults]\ntimeout = "10m"', PINSTRIPE_JOB_DEFAULTS__OVERLAP="allow").config

    assert config.job_defaults == {"timeout": "10m", "overlap": "allow"}


def test_several_addresses_are_separated_by_blanks() -> None:
    addresses = addresses_of("127.0.0.1:3000 [::1]:3001  localhost:0")

    assert addresses == (("127.0.0.1", 3000), ("::1", 3001), ("localhost", 0))


@pytest.mark.parametrize("host", ["", "localhost", ":3000", "3000", "::1:3000", "a:70000", "a:1 b", "http://a:1"])
def test_what_is_no_address_is_refused(tmp_path: Path, host: str) -> None:
    assert 'is not "HOST:PORT"' in problems(tmp_path, overrides={"server.host": host})


def test_the_record_is_kept_and_a_bot_believed_as_long_as_the_settings_say(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'retention = "90d"', PINSTRIPE_LEDGER__LEASE="5s").config

    assert (config.retention, config.ledger.lease) == (timedelta(days=90), timedelta(seconds=5))


def test_a_month_is_kept_and_a_bot_believed_for_half_a_minute(tmp_path: Path) -> None:
    config = loaded(tmp_path).config

    assert (config.retention, config.ledger.lease) == (timedelta(days=30), timedelta(seconds=30))


# What is wrong with them


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    said = problems(
        tmp_path,
        'workers = "many"\ntimezone = "Europa/Berlin"\n[ledgr]\nurl = "x"\n[logs]\nformat = "jsn"',
        PINSTRIPE_WORKER="3",
        PINSTRIPE_SHUTDOWN_TIMEOUT="soon",
        overrides={"server.app": "shop"},
    )

    assert said.splitlines()[0] == "7 settings cannot be used:"
    assert len(said.splitlines()) == 8


def test_a_wrong_value_is_named_with_its_line_and_what_is_wanted(tmp_path: Path) -> None:
    said = problems(tmp_path, '# ours\n\nworkers = "many"')

    assert said == 'pinstripe.toml, line 3: workers = "many" is not accepted: write a whole number from 1 to 1000'


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("postgresql//u:SECRET@host/db", "***@host/db"),
        ("u:SECRET@host/db", "***@host/db"),
        ("postgresql:host/db?passwrd=SECRET", "postgresql:host/db?***"),
        ("shop.db", "shop.db"),
    ],
)
@pytest.mark.parametrize("section", ["ledger", "database"])
def test_what_is_no_url_is_refused_without_its_password(tmp_path: Path, section: str, written: str, shown: str) -> None:
    said = problems(tmp_path, f"[{section}]\nurl = '{written}'")

    assert f'{section}.url = "{shown}" is not accepted' in said
    assert "SECRET" not in said


def test_a_duration_beyond_its_limits_is_named_with_them(tmp_path: Path) -> None:
    said = problems(tmp_path, '# ours\nretention = "59m"', PINSTRIPE_LEDGER__LEASE="0")

    assert said.splitlines()[1:] == [
        "  pinstripe.toml, line 2: retention = '59m' is not accepted: write a duration from 1h to 3650d",
        "  PINSTRIPE_LEDGER__LEASE: ledger.lease = '0s' is not accepted: write a duration from 1s to 1d",
    ]


def test_a_wrong_value_in_a_variable_is_named_with_the_variable(tmp_path: Path) -> None:
    said = problems(tmp_path, PINSTRIPE_LOGS__LEVEL="loud")

    assert said.startswith('PINSTRIPE_LOGS__LEVEL: logs.level = "loud" is not accepted: write one of "debug"')


def test_a_wrong_value_in_pyproject_toml_is_named_with_its_line(tmp_path: Path) -> None:
    said = problems(tmp_path, pyproject='[project]\nname = "shop"\n[tool.pinstripe.logs]\nlevel = 3')

    assert said.startswith("pyproject.toml, line 4: logs.level = 3 is not accepted")


@pytest.mark.parametrize(
    "toml",
    [
        "workers = 0",
        "workers = 1001",
        "workers = true",
        "workers = 1.5",
        "workers = {a = 1}",
        "jobs = ''",
        "jobs = 3",
        "shutdown_timeout = '-5s'",
        "shutdown_timeout = true",
        "retention = 'for ever'",
        "retention = '11000d'",
        "ledger.lease = '25h'",
        "timezone = 'Mars/Olympus'",
        "timezone = 1",
        "database.url = 'shop.db'",
        "server.app = 'shop'",
        "server = 'x'",
        "app = 3",
        "job_defaults = 'x'",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(tmp_path: Path, toml: str) -> None:
    assert toml.split(" ")[0] in problems(tmp_path, toml)


def test_an_unknown_setting_is_named_with_the_close_one(tmp_path: Path) -> None:
    assert problems(tmp_path, "[logs]\nlevl = 'info'").startswith(
        "pinstripe.toml, line 2: unknown setting 'logs.levl': did you mean 'logs.level'"
    )


def test_an_unknown_table_is_named_once(tmp_path: Path) -> None:
    said = problems(tmp_path, "[ledgr]\nurl = 'x'\nother = 1")

    assert said.startswith("pinstripe.toml, line 1: unknown setting 'ledgr': did you mean 'ledger'")
    assert len(said.splitlines()) == 1


def test_an_unknown_variable_is_named_with_the_close_one(tmp_path: Path) -> None:
    assert problems(tmp_path, PINSTRIPE_WORKER="3").startswith(
        "unknown variable PINSTRIPE_WORKER: did you mean 'PINSTRIPE_WORKERS'"
    )


def test_a_table_cannot_be_set_whole_by_a_variable(tmp_path: Path) -> None:
    assert "PINSTRIPE_LOGS" in problems(tmp_path, PINSTRIPE_LOGS="json")


@pytest.mark.parametrize(
    "variables",
    [
        {"PINSTRIPE_PROJECT": "/srv/shop"},
        {"PINSTRIPE_TEST_POSTGRES": "1"},
        {"PINSTRIPE_SERVICE_HOST": "10.0.0.1", "PINSTRIPE_SERVICE_PORT_HTTP": "80"},
        {"PINSTRIPE_PORT": "tcp://10.0.0.1:80", "PINSTRIPE_PORT_80_TCP_ADDR": "10.0.0.1"},
        {"PINSTRIPE_CONSOLE_SERVICE_PORT": "80", "PINSTRIPE_CONSOLE_PORT": "tcp://10.0.0.1:80"},
    ],
)
def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path, variables: dict[str, str]) -> None:
    assert load_config(tmp_path, environ={"TZ": "UTC", **variables}).config == Config()


def test_a_port_on_its_own_is_an_unknown_variable(tmp_path: Path) -> None:
    assert "unknown variable PINSTRIPE_PORT" in problems(tmp_path, PINSTRIPE_PORT="8080")


def test_a_broken_file_is_one_sentence_with_its_line(tmp_path: Path) -> None:
    said = problems(tmp_path, "workers = 3\nlogs = = 4\n")

    assert said.startswith(f"{tmp_path / 'pinstripe.toml'} cannot be read: ")
    assert "line 2" in said


def test_a_file_that_is_not_utf8_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "pinstripe.toml").write_bytes(b"jobs = '\xff'")

    assert "cannot be read: 'utf-8' codec" in problems(tmp_path)


def test_a_pyproject_whose_tool_pinstripe_is_no_table_is_a_problem(tmp_path: Path) -> None:
    assert "write it as a table, [tool.pinstripe]" in problems(tmp_path, pyproject="[tool]\npinstripe = 3")


def test_a_secret_does_not_show_in_a_problem(tmp_path: Path) -> None:
    assert "hunter2" not in problems(tmp_path, 'database = "postgresql://shop:hunter2@host/shop"')


# Showing them


def test_every_setting_is_described_with_its_origin(tmp_path: Path) -> None:
    rows = describe(loaded(tmp_path, "workers = 3"))

    assert [row.key for row in rows] == list(SETTINGS)
    assert Setting("workers", "3", "pinstripe.toml") in rows
    assert Setting("shutdown_timeout", "25s", "default") in rows
    assert Setting("ledger.url", "not set", "default") in rows


def test_the_password_of_a_url_is_not_described(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PINSTRIPE_DATABASE__URL="postgresql://shop:hunter2@host/shop")

    assert row(settings, "database.url").value == "postgresql://shop:***@host/shop"


def test_the_projects_own_secrets_are_not_described(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "[app.smtp]\nhost = 'mail'\npassword = 'hunter2'")

    assert row(settings, "app.smtp.host").value == "mail"
    assert row(settings, "app.smtp.password").value == "redacted"


@pytest.mark.parametrize(
    ("environ", "is_wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_left_on_unless_the_user_turns_them_off(environ: dict[str, str], is_wanted: bool) -> None:
    assert wants_colors(environ) is is_wanted


# Finding the project


@pytest.mark.parametrize("marker", ["pinstripe.toml", "pyproject.toml", "lib/background_jobs/clean.py"])
def test_the_project_is_the_nearest_folder_above(tmp_path: Path, marker: str) -> None:
    (tmp_path / "pinstripe.toml").touch()
    root = tmp_path / "shop"
    deep = root / "deep" / "down"
    deep.mkdir(parents=True)
    (root / marker).parent.mkdir(parents=True, exist_ok=True)
    (root / marker).write_text("[tool.pinstripe.logs]\n", encoding="utf-8")

    assert find_project_root(deep, environ={}) == root


def test_a_pyproject_without_our_table_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "pinstripe.toml").touch()
    (tmp_path / "member").mkdir()
    (tmp_path / "member" / "pyproject.toml").write_text("[tool.ruff]\n", encoding="utf-8")

    assert find_project_root(tmp_path / "member", environ={}) == tmp_path


def test_a_broken_pyproject_with_our_table_is_a_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pinstripe]\nworkers = = 3\n", encoding="utf-8")

    assert find_project_root(tmp_path, environ={}) == tmp_path


def test_the_variable_names_the_project(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()

    assert find_project_root(Path("/"), environ={"PINSTRIPE_PROJECT": str(tmp_path / "shop")}) == tmp_path / "shop"


def test_the_flag_wins_over_the_variable_that_names_the_project(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()

    root = find_project_root(tmp_path, project=Path("shop"), environ={"PINSTRIPE_PROJECT": "/nowhere"})

    assert root == tmp_path / "shop"


def test_a_named_project_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidProject, match="PINSTRIPE_PROJECT says '/nowhere', which is no folder"):
        find_project_root(tmp_path, environ={"PINSTRIPE_PROJECT": "/nowhere"})


def test_no_project_at_all_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidProject, match="pinstripe generate-project NAME"):
        find_project_root(Path("/"), environ={})


@pytest.mark.parametrize("key", ["table", "id_column", "name_column", "timezone_column", "tenant_column"])
def test_where_the_tenants_are_may_be_written(tmp_path: Path, key: str) -> None:
    (tmp_path / "pinstripe.toml").write_text(f'[tenants]\n{key} = "shops"')

    assert getattr(load_config(tmp_path, environ={}).config.tenants, key) == "shops"
    assert problems(tmp_path, f'[tenants]\n{key} = ""').startswith(f'pinstripe.toml, line 2: tenants.{key} = "" is not')


# Where a value is written


def test_a_value_of_a_file_has_its_line(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'workers = 3\n\n[ledger]\nlease = "20s"\n')

    assert settings.places["workers"].replace(", line ", ":") == "pinstripe.toml:1"
    assert settings.places["ledger.lease"].replace(", line ", ":") == "pinstripe.toml:4"


def test_a_value_that_nobody_wrote_is_the_default(tmp_path: Path) -> None:
    settings = loaded(tmp_path)

    assert settings.places["workers"] == "default"


def test_a_value_of_a_variable_or_a_flag_has_its_name(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "workers = 3", overrides={"server.host": "localhost:9"}, PINSTRIPE_WORKERS="5")

    assert (settings.places["workers"], settings.places["server.host"]) == ("PINSTRIPE_WORKERS", "--host")


def test_every_value_has_a_place(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'timezone = "UTC"')

    assert settings.places.keys() == settings.origins.keys()
    assert all(settings.places.values())
