"""A status page for all studies, the same data as JSON, and a health check. No patient names or IDs are shown."""

from __future__ import annotations

import asyncio
import contextlib
import html
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from node.domain import JobState
from node.errors import LedgerError
from node.ledger.jobs import Filter
from node.ledger.ledger import Ledger
from node.web.entries import job_entries, job_entry, network_entries

_PAGE = Path(__file__).with_name("jobs.html")
_PER_PAGE, _MOST, _FURTHEST = 50, 500, 10**9
_COUNTED = 10_000
"""How many jobs after the ones on a page are counted; more would cost time on every reload."""
_EVENTS = 20
_NO_EVENTS = '<tr><td colspan="7">Nothing.</td></tr>'
_PARAMETERS = ("state", "since", "study", "patient", "accession", "text", "limit", "offset")


class _ParameterError(ValueError):
    """A request with a parameter that makes no sense; answered 400."""


def make_app(ledger: Ledger) -> Starlette:
    """Return the web application for a ledger."""

    def page(request: Request) -> Response:
        chosen, limit, offset = _asked(request)
        rows = "\n".join(_row(entry) for entry in job_entries(ledger, chosen, limit=limit, offset=offset))
        words = "Nothing received yet." if chosen == Filter() and offset == 0 else "No study matches."
        empty = f'<tr><td colspan="6">{words}</td></tr>'
        filled = {
            "rows": rows or empty,
            "now": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            "pages": _pages(request, limit, offset, ledger.jobs.count(chosen, offset + _COUNTED)),
            "network": "\n".join(map(_network_row, network_entries(ledger, _EVENTS))) or _NO_EVENTS,
        }
        text = _PAGE.read_text()
        for name, value in filled.items():
            text = text.replace("{{" + name + "}}", value)
        return HTMLResponse(text)

    def listing(request: Request) -> Response:
        chosen, limit, offset = _asked(request)
        return JSONResponse(job_entries(ledger, chosen, limit=limit, offset=offset))

    def network(request: Request) -> Response:
        return JSONResponse(network_entries(ledger, _MOST))

    def one(request: Request) -> Response:
        try:
            return JSONResponse(job_entry(ledger, ledger.jobs.get(request.path_params["job_id"])))
        except LedgerError as error:
            return JSONResponse({"error": str(error)}, status_code=404)

    def health(request: Request) -> Response:
        try:
            ledger.jobs.find(newest=1)
        except SQLAlchemyError as error:
            return JSONResponse({"status": "ledger unavailable", "error": type(error).__name__}, status_code=503)
        return JSONResponse({"status": "ok"})

    def refusal(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=400)

    return Starlette(
        exception_handlers={_ParameterError: refusal},
        routes=[
            Route("/", page),
            Route("/api/jobs", listing),
            Route("/api/jobs/{job_id}", one),
            Route("/api/network", network),
            Route("/healthz", health),
        ],
    )


class WebServer:
    """Serves the pages in a background thread."""

    def __init__(self, ledger: Ledger, host: str, port: int) -> None:
        config = uvicorn.Config(make_app(ledger), host=host, port=port, log_level="warning", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def start(self) -> int:
        """Start serving; return the port.

        Raises
        ------
        OSError
            If the port is not available.
        """
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise OSError("the port of the status page is not available")
            time.sleep(0.02)
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    def _serve(self) -> None:
        with contextlib.suppress(SystemExit):  # uvicorn exits if the port is not available; `start` notices
            asyncio.run(self._server.serve())

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(5)


def _row(entry: dict[str, Any]) -> str:
    where = ", ".join(f"{d['name']}: {d['state']}" for d in entry["destinations"])
    cells = (
        f'<span class="state {entry["state"]}">{entry["state"].replace("_", " ")}</span>',
        html.escape(entry["study_uid"]),
        html.escape(where),
        html.escape(" ".join(filter(None, [entry["reason"], *entry["remarks"]]))),
        entry["updated"],
        f'<a href="/api/jobs/{entry["job_id"]}">{entry["job_id"][:8]}</a>',
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _network_row(entry: dict[str, Any]) -> str:
    titles = (entry["calling_ae"] or "–", entry["called_ae"] or "–")
    cells = (entry["kind"], *titles, entry["address"], entry["reason"], entry["expected"])
    counted = f"{entry['count']:,} × · {entry['last']}"
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in (*cells, counted)) + "</tr>"


def _asked(request: Request) -> tuple[Filter, int, int]:
    """Read which jobs are asked for, how many, and after how many.

    ``state`` (may be repeated), ``since`` (ISO 8601), ``study``, ``patient``, ``accession`` and ``text`` restrict the
    list; ``limit`` and ``offset`` choose a part of it.

    Raises
    ------
    _ParameterError
        If a parameter is unknown, or its value is not one. A list that ignored it would show too much.
    """
    given = request.query_params
    unknown = given.keys() - _PARAMETERS
    if unknown:
        raise _ParameterError(f"{min(unknown)!r} is not a parameter; choose from {', '.join(_PARAMETERS)}")
    try:
        chosen = Filter(
            states=tuple(map(JobState, given.getlist("state"))),
            since=datetime.fromisoformat(given["since"]).timestamp() if given.get("since") else None,
            text=given.get("text", ""),
            patient_id=given.get("patient", ""),
            accession_number=given.get("accession", ""),
            study_uid=given.get("study", ""),
        )
        limit, offset = int(given.get("limit", _PER_PAGE)), int(given.get("offset", 0))
    except (ValueError, OverflowError) as error:
        raise _ParameterError(f"a parameter has a value that it cannot have: {error}") from error
    return chosen, min(max(1, limit), _MOST), min(max(0, offset), _FURTHEST)


def _pages(request: Request, limit: int, offset: int, count: int) -> str:
    """Say which part of the list is shown, with links to the pages before and after it."""
    last = min(offset + limit, count)
    total = f"{count:,}" if count <= offset + _COUNTED else f"more than {count - 1:,}"
    parts = [f"{offset + 1 if last > offset else 0}–{max(last, 0)} of {total}"]
    if offset > 0:
        parts.append(_link(request, max(0, offset - limit), "newer"))
    if last < count:
        parts.append(_link(request, offset + limit, "older"))
    return " · ".join(parts)


def _link(request: Request, offset: int, words: str) -> str:
    url = request.url.include_query_params(offset=offset)
    return f'<a href="{html.escape(f"?{url.query}")}">{words}</a>'
