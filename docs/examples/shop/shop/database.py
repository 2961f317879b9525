"""The shop's database: four tables, and something in them."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

PATH = Path(__file__).parent.parent / "shop.db"

VERSION = 2
"""Of the tables. What an older version of this example has left is thrown away."""

TABLES = [
    "CREATE TABLE shops (id INTEGER PRIMARY KEY, name TEXT NOT NULL, timezone TEXT NOT NULL, goal_cents INTEGER)",
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users,"
    " shop_id INTEGER NOT NULL REFERENCES shops, cents INTEGER NOT NULL, ordered_at TIMESTAMP NOT NULL)",
    "CREATE TABLE sessions (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users,"
    " last_accessed_at TIMESTAMP NOT NULL)",
]

SHOPS = [
    ("Berlin", "Europe/Berlin", 40_000),
    ("Boston", "America/New_York", 25_000),
    ("Bengaluru", "Asia/Kolkata", None),  # has no goal yet: the job `takings` fails there
]

USERS = ["Ada", "Barbara", "Edsger", "Grace", "Radia", "Tony"]


def ensure() -> None:
    """Create and fill the database, unless that has been done."""
    with closing(sqlite3.connect(PATH)) as database, database:
        database.execute("BEGIN IMMEDIATE")  # two processes may start at once: one fills, the other one waits
        if database.execute("PRAGMA user_version").fetchone() != (VERSION,):
            _fill(database, datetime.now(UTC))


def _fill(database: sqlite3.Connection, now: datetime) -> None:
    for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        database.execute(f"DROP TABLE {name}")
    for table in TABLES:
        database.execute(table)
    database.executemany("INSERT INTO shops (name, timezone, goal_cents) VALUES (?, ?, ?)", SHOPS)
    database.executemany("INSERT INTO users (name) VALUES (?)", [(name,) for name in USERS])
    orders = [(n % 6 + 1, n % 3 + 1, 500 + n * 377 % 9000, _text(now - timedelta(hours=n))) for n in range(100)]
    database.executemany("INSERT INTO orders (user_id, shop_id, cents, ordered_at) VALUES (?, ?, ?, ?)", orders)
    sessions = [(n % 6 + 1, _text(now - timedelta(seconds=20 * n))) for n in range(30)]
    database.executemany("INSERT INTO sessions (user_id, last_accessed_at) VALUES (?, ?)", sessions)
    database.execute(f"PRAGMA user_version = {VERSION}")


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S")
