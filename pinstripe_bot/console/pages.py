"""The routes of the pages: each is made on the server from one look at the ledger; a POST acts and leads back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pinstripe_bot.clock import Clock
from pinstripe_bot.console.acting import Acting
from pinstripe_bot.console.addresses import to, to_job, to_run
from pinstripe_bot.console.fields import read_form
from pinstripe_bot.console.job_page import find_job, job_facts
from pinstripe_bot.console.jobs_page import jobs_facts
from pinstripe_bot.console.now_page import now_facts
from pinstripe_bot.console.rendering import Rendering
from pinstripe_bot.console.run_page import run_facts
from pinstripe_bot.console.runs_page import runs_facts
from pinstripe_bot.console.standing import Standing, stand, top_facts
from pinstripe_bot.console.system_page import system_facts
from pinstripe_bot.console.timeline_page import timeline_facts
from pinstripe_bot.console.visit import LedgerDoor, Visit
from pinstripe_bot.errors import InvalidParams, LedgerError, LedgerUnavailable, PinstripeError, UnknownJob, UnknownRun
from pinstripe_bot.project import Project

Facts = Callable[[Visit, Standing], dict[str, Any]]

SAID: Final = {
    "queued": "Queued for all its tenants: a bot lists them and starts their runs within a second.",
    "skipped": "Not queued: the same work is waiting or running already.",
    "paused": "Paused.",
    "resumed": "Resumed: it comes due again from now on, and nothing past runs.",
    "skip": "The next due instant will be skipped.",
    "unskip": "Nothing will be skipped any more.",
    "cancelled": "It was asked to end.",
    "retried": "Queued for another attempt.",
}
"""What a page says after an act, by what stands in its address: an address cannot make it say anything else."""


class Pages:
    """The pages of one project's console."""

    def __init__(
        self,
        project: Project,
        door: LedgerDoor,
        clock: Clock,
        rendering: Rendering,
        *,
        is_read_only: bool,
        readiness: Callable[[], list[str]],
    ) -> None:
        self._project = project
        self._door = door
        self._clock = clock
        self._rendering = rendering
        self._is_read_only = is_read_only
        self._readiness = readiness

    def routes(self) -> list[Route]:
        """Everything that is looked at, and everything that forms send."""
        return [
            self._page("/", "now", now_facts),
            Route("/find", _find, methods=["GET"]),
            self._page("/jobs", "jobs", jobs_facts),
            self._page("/runs", "runs", runs_facts),
            self._page("/timeline", "timeline", timeline_facts),
            self._page("/system", "system", self._system_facts),
            Route("/runs/{number}", self._show_run, methods=["GET"]),
            self._act("/resume", lambda acting, _path, form: _resumed(acting, "", form)),
            self._act("/pause", lambda acting, _path, form: _paused(acting, "", form)),
            self._act("/runs/{number}/cancel", _cancel),
            self._act("/runs/{number}/retry", _retry),
            self._act("/jobs/{name:path}/run", self._run),
            self._act("/jobs/{name:path}/pause", lambda acting, path, form: _paused(acting, path["name"], form)),
            self._act("/jobs/{name:path}/resume", lambda acting, path, form: _resumed(acting, path["name"], form)),
            self._act("/jobs/{name:path}/skip", _skip),
            Route("/jobs/{name:path}", self._show_job, methods=["GET"]),
        ]

    def visit(self, request: Request) -> Visit:
        """What a page is made from."""
        return Visit(
            self._project,
            self._clock.now(),
            self._door.history(),
            getattr(request.state, "person", None),
            self._is_read_only,
            dict(request.query_params),
        )

    def _page(self, path: str, name: str, facts: Facts) -> Route:
        async def show(request: Request) -> Response:
            return await run_in_threadpool(self._shown, request, name, name, facts)

        return Route(path, show, methods=["GET"])

    async def _show_job(self, request: Request) -> Response:
        def facts(visit: Visit, standing: Standing) -> dict[str, Any]:
            return job_facts(visit, standing, find_job(visit, request.path_params["name"]))

        return await run_in_threadpool(self._shown, request, "job", "jobs", facts)

    async def _show_run(self, request: Request) -> Response:
        def facts(visit: Visit, standing: Standing) -> dict[str, Any]:
            return run_facts(visit, standing, request.path_params["number"])

        return await run_in_threadpool(self._shown, request, "run", "runs", facts)

    def _system_facts(self, visit: Visit, standing: Standing) -> dict[str, Any]:
        reasons = self._readiness()
        return system_facts(visit, standing) | {"ready": "; ".join(reasons) + "." if reasons else "ready."}

    def _shown(self, request: Request, template: str, page: str, facts: Facts) -> Response:
        """The page, or in one sentence why there is none."""
        mark = self._door.mark()  # first: what changes while the page is made is told of by the live stream
        try:
            visit = self.visit(request)
            standing = stand(visit)
            return self._rendering.page(
                f"{template}.html",
                top=top_facts(visit, standing),
                page=page,
                mark=mark,
                said=SAID.get(visit.asked("said"), ""),
                **facts(visit, standing),
            )
        except (UnknownJob, UnknownRun) as error:
            return self._rendering.error(
                "Not found", str(error), status_code=404, back=to(page if page != "now" else "")
            )
        except InvalidParams as error:
            return self._rendering.error("That cannot be read", str(error), status_code=400, back=to(page))
        except LedgerUnavailable as error:
            told = f"{error}. Windows are kept, nothing is lost: reload the page."
            return self._rendering.error("The ledger does not answer", told, status_code=503, back=to())
        except LedgerError as error:
            return self._rendering.error("The ledger cannot be read", str(error), status_code=503, back=to())

    def _act(self, path: str, act: Callable[[Acting, Mapping[str, Any], Mapping[str, str]], str]) -> Route:
        """A route that acts, and leads to the page where its effect shows."""

        async def do(request: Request) -> Response:
            form = read_body(await request.body())
            return await run_in_threadpool(self._acted, request, act, form)

        return Route(path, do, methods=["POST"])

    def _acted(self, request: Request, act: Callable[..., str], form: Mapping[str, str]) -> Response:
        back = to_job(str(request.path_params["name"])) if "name" in request.path_params else to()
        try:
            acting = Acting(self._project, request.state.person, self._clock)
            return RedirectResponse(act(acting, request.path_params, form), 303)
        except (UnknownJob, UnknownRun) as error:
            return self._rendering.error("Not found", str(error), status_code=404, back=to())
        except LedgerError as error:
            return self._rendering.error("The ledger does not answer", str(error), status_code=503, back=back)
        except PinstripeError as error:
            return self._rendering.error("That was not done", str(error), status_code=400, back=back)

    def _run(self, acting: Acting, path: Mapping[str, Any], form: Mapping[str, str]) -> str:
        job = self._project.job(path["name"])
        run = acting.run(job.name, read_form(job, form), tenant=form.get("tenant", ""))
        if not run.id:
            return to_job(job.name, said="queued")
        return to_run(run.id) if run.state.is_open else to(f"runs/{run.id}", said="skipped")


async def _find(request: Request) -> Response:
    """What the search field leads to: a run by its number, else the jobs whose names have these words."""
    wanted = request.query_params.get("q", "").strip()[:200]
    is_number = wanted.isascii() and wanted.isdigit() and len(wanted) < 19
    return RedirectResponse(to_run(int(wanted)) if is_number else to("jobs", q=wanted), 303)


def read_body(body: bytes) -> dict[str, str]:
    """The fields of a form; of one that is sent twice, the last. Nothing for what is no form."""
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace").replace("%00", ""), max_num_fields=500))
    except ValueError:
        return {}


def _paused(acting: Acting, name: str, form: Mapping[str, str]) -> str:
    acting.pause(name, until=form.get("until", ""), reason=form.get("reason", ""), tenant=form.get("tenant", ""))
    return to_job(name, said="paused") if name else to(said="paused")


def _resumed(acting: Acting, name: str, form: Mapping[str, str]) -> str:
    acting.resume(name, tenant=form.get("tenant", ""))
    return to_job(name, said="resumed") if name else to(said="resumed")


def _skip(acting: Acting, path: Mapping[str, Any], form: Mapping[str, str]) -> str:
    count = acting.skip(path["name"], count=form.get("count", "1"))
    return to_job(path["name"], said="skip" if count else "unskip")


def _cancel(acting: Acting, path: Mapping[str, Any], _form: Mapping[str, str]) -> str:
    return to(f"runs/{acting.cancel(number_of(path['number'])).id}", said="cancelled")


def _retry(acting: Acting, path: Mapping[str, Any], form: Mapping[str, str]) -> str:
    run = acting.retry(number_of(path["number"]), force=form.get("force") == "true")
    return to(f"runs/{run.id}", said="retried")


def number_of(written: str) -> int:
    """The number of a run. Raises UnknownRun for what is none."""
    if not (written.isascii() and written.isdigit() and len(written) < 19):
        raise UnknownRun(f"{written!r} is no number of a run: the list of runs has them all")
    return int(written)
