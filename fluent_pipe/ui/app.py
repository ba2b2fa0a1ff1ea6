"""The application: paths, pages, and what is said when one cannot be made."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from fluent_pipe.errors import ArgumentError, FluentPipeError
from fluent_pipe.store.metadata import StoredRun
from fluent_pipe.ui import lists, run_page
from fluent_pipe.ui.guard import REPORT_POLICY, Guard
from fluent_pipe.ui.history import History, Runs
from fluent_pipe.ui.templating import FILES, part, render


class Pages:
    """Answers requests about the runs of a store. Starlette calls each of these on a thread of its own.

    Parameters
    ----------
    history
        The runs.
    """

    def __init__(self, history: History) -> None:
        self._history = history

    def app(self, host: str = "127.0.0.1") -> ASGIApp:
        """The ASGI application, for a server that listens on ``host``."""
        routes = [
            Route("/", self.pipelines),
            Route("/p/{pipeline:path}", self.pipeline),
            Route("/r/{run}", self.run),
            Route("/r/{run}/live", self.live),
            Route("/r/{run}/report", self.report),
            Route("/r/{run}/lineage", self.lineage),
            Route("/compare", self.compare),
            Route("/static/{name}", _static),
            Route("/healthz", self.health),
        ]
        handlers: Mapping[Any, Any] = {
            HTTPException: partial(_refused, history=self._history),
            FluentPipeError: partial(_refused, history=self._history),
            Exception: partial(_refused, history=self._history),
        }
        return Guard(Starlette(routes=routes, exception_handlers=handlers), host)

    def pipelines(self, request: Request) -> Response:
        """All pipelines."""
        runs = self._history.look()
        return self._page("pipelines.html", runs, **lists.pipelines(runs, self._history.root))

    def pipeline(self, request: Request) -> Response:
        """The runs of one pipeline."""
        runs = self._history.look()
        name = request.path_params["pipeline"]
        of_it = runs.of(name)
        if not of_it:
            raise HTTPException(404, f"There is no pipeline {name!r} here.")
        query = dict(request.query_params)
        return self._page("pipeline.html", runs, **lists.pipeline(name, of_it, self._history.root, query))

    def run(self, request: Request) -> Response:
        """One run."""
        runs = self._history.look()
        run = self._asked(request, runs)
        return self._page("run.html", runs, **run_page.run_page(self._history, runs, run))

    def live(self, request: Request) -> Response:
        """How far a run is: a part of its page, asked for again and again while it is under way."""
        runs = self._history.look()
        run = self._asked(request, runs)
        page = render("live.html", **run_page.live_page(self._history, run))
        return HTMLResponse(page, headers={"X-Run-Under-Way": "yes" if run.state == "running" else "no"})

    def report(self, request: Request) -> Response:
        """The report of a run that has ended."""
        runs = self._history.look()
        run = self._asked(request, runs)
        if run.state == "running":
            raise HTTPException(404, "There is no report yet: it is written when the run has ended.")
        text = run_page.report(self._history, runs, run)
        return HTMLResponse(text, headers={"Content-Security-Policy": REPORT_POLICY})

    def lineage(self, request: Request) -> Response:
        """What a run's last result was made from, back to the files."""
        runs = self._history.look()
        run = self._asked(request, runs)
        return self._page("lineage.html", runs, **run_page.lineage_page(self._history, run))

    def compare(self, request: Request) -> Response:
        """Two runs side by side."""
        runs = self._history.look()
        ticked = request.query_params.getlist("run")
        if len(ticked) == 2:
            both = (self._named(run_id, runs) for run_id in ticked)
            older, newer = sorted(both, key=lambda run: (run.started, run.number))
            return RedirectResponse(f"/compare?a={part(older.id)}&b={part(newer.id)}", 303)
        if ticked:
            count = f"{len(ticked)} were" if len(ticked) > 1 else "one was"
            raise HTTPException(400, f"Tick two runs to compare: {count} ticked.")
        a, b = (self._named(request.query_params.get(name, ""), runs) for name in ("a", "b"))
        return self._page("compare.html", runs, **run_page.compare_page(self._history, a, b))

    def health(self, request: Request) -> Response:
        """Whether the store can be read."""
        self._history.look()
        return PlainTextResponse("ok")

    def _asked(self, request: Request, runs: Runs) -> StoredRun:
        return self._named(request.path_params["run"], runs)

    def _named(self, run_id: str, runs: Runs) -> StoredRun:
        run = runs.run(run_id)
        if run is None:
            raise HTTPException(404, f"There is no run {run_id!r} here." if run_id else "Name two runs to compare.")
        return run

    def _page(self, template: str, runs: Runs, **values: Any) -> Response:
        return HTMLResponse(render(template, root=str(self._history.root), notice=runs.notice, **values))


def _static(request: Request) -> Response:
    """A file of ours; they are named one by one, so that no path leads elsewhere."""
    name = request.path_params["name"]
    found = FILES.get(name)
    if found is None:
        raise HTTPException(404, "There is no such file.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(found.read_bytes(), media_type=kind, headers={"Cache-Control": "max-age=31536000, immutable"})


def _refused(_: Request, error: Exception, *, history: History) -> Response:
    """A page in words; tracebacks go to the terminal, where the server logs what it did not expect."""
    if isinstance(error, HTTPException):
        status, words, headers = error.status_code, error.detail, error.headers
    elif isinstance(error, FluentPipeError):
        status, words, headers = (400 if isinstance(error, ArgumentError) else 503), str(error), None
    else:
        status, words, headers = 500, f"This page cannot be made: {type(error).__name__}. The terminal says more.", None
    page = render("error.html", root=str(history.root), notice="", status=status, words=words)
    return HTMLResponse(page, status, headers)
