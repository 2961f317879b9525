"""The example shop of the pictures: its fifteen jobs, its tenants, and the files that make them a project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SETTINGS = """\
timezone = "Europe/Berlin"
retention = "90d"
workers = 8

[database]
url = "sqlite:///shop.db"

[tenants]
table = "shops"
tenant_column = "shop_id"

[console]
hosts = ["jobs.shop.example"]

[job_defaults]
on_interrupt = "retry"
"""

TENANTS = (
    *("alpenglueck", "bootshaus", "cedro", "drei-eichen", "elbkind", "feinwerk"),
    *("gruenzeug", "hafenkontor", "isarwelle", "juniper", "kornblume", "nordlicht"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job of the shop: when it comes due, how many seconds it usually takes, and how its file looks."""

    name: str
    crons: tuple[str, ...]
    usual_s: float
    summary: str
    options: str = ""
    run: str = "def run(self):\n        ..."

    @property
    def is_for_tenants(self) -> bool:
        return "multi_tenant" in self.options

    @property
    def source(self) -> str:
        """Its file."""
        title = "".join(word.capitalize() for word in self.name.split("-"))
        options = "".join(f"    {line}\n" for line in self.options.split("; ") if line)
        schedules = "".join(f'        cls.schedule("{cron}")\n' for cron in self.crons)
        return (
            "import datetime\nfrom typing import Literal\n\nfrom pinstripe_bot import BackgroundJob\n\n\n"
            f'class {title}(BackgroundJob):\n    """{self.summary}"""\n\n{options}\n'
            f"    @classmethod\n    def meta(cls):\n{schedules}\n    {self.run}\n"
        )


ISSUE = """def run(self, *, day: datetime.date | None = None, format: Literal["zugferd", "xrechnung"] = "zugferd",
            limit: int | None = None, dry_run: bool = False):
        for invoice in self.invoices.of(day):
            self.mailer.send(invoice)"""

_TENANT, _PROCESS = "multi_tenant = True", 'isolation = "process"'

JOBS = (
    Job("sync-stock-levels", ("*/2 * * * *",), 4.2, "Asks the warehouse what is left."),
    Job("purge-old-sessions", ("*/5 * * * *",), 0.34, "Deletes sessions of people who have left.", 'timeout = "1m"'),
    Job("capture-payments", ("*/10 * * * *",), 6.1, "Captures what was reserved.", 'timeout = "5m"'),
    Job("fetch-carrier-tracking", ("*/20 6-22 * * *",), 473, "Asks carriers where parcels are.", _PROCESS),
    Job("reindex-catalogue", ("*/15 * * * *",), 173, "Writes the search index.", f'{_PROCESS}; timeout = "14m"'),
    Job("sweep-thumbnails", ("*/30 * * * *",), 140, "Deletes pictures that no product shows."),
    Job("refresh-exchange-rates", ("5 15 * * mon-fri",), 1.9, "Reads the reference rates.", 'timeout = "1m"'),
    Job("send-abandoned-cart-mails", ("10 * * * *",), 19, "Reminds people of their carts.", _TENANT),
    Job("expire-vouchers", ("@daily",), 1.8, "Ends vouchers whose day is over."),
    Job(
        "issue-invoices",
        ("30 2 * * *",),
        130,
        "Issues the invoices of the day before.",
        f'{_TENANT}; {_PROCESS}; timeout = "10m"; retries = 2',
        ISSUE,
    ),
    Job(
        "rebuild-recommendations", ("15 3 * * *",), 1980, "Trains on a year of orders.", f'{_PROCESS}; timeout = "45m"'
    ),
    Job("vacuum-search-log", ("40 4 * * *",), 107, "Makes the log of searches small.", 'timeout = "10m"'),
    Job("monthly-vat-return", ("0 5 1 * *",), 237, "Sums up the taxes of a month.", f'{_TENANT}; timeout = "30m"'),
    Job("weekly-sales-report", ("0 7 * * mon",), 151, "Mails each shop its week.", f'{_TENANT}; timeout = "30m"'),
)

BROKEN = "import-supplier-feed"

BROKEN_SOURCE = '''\
from pinstripe_bot import BackgroundJob


class ImportSupplierFeed(BackgroundJob):
    """Reads what suppliers offer."""

    @classmethod
    def meta(cls):
        cls.schedule("15 6 * * *"
        cls.schedule("15 18 * * *")
'''


def write_shop(root: Path) -> None:
    """Write the project into a folder."""
    files = {"pinstripe.toml": SETTINGS, f"lib/background_jobs/{BROKEN.replace('-', '_')}.py": BROKEN_SOURCE}
    files |= {f"lib/background_jobs/{job.name.replace('-', '_')}.py": job.source for job in JOBS}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
