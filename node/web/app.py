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

from node.errors import LedgerError
from node.ledger.ledger import Ledger
from node.web.entries import job_entries, job_entry

_PAGE = Path(__file__).with_name("jobs.html")
_NEWEST = 500


def make_app(ledger: Ledger) -> Starlette:
    """Return the web application for a ledger."""

    def page(request: Request) -> Response:
        rows = "\n".join(_row(entry) for entry in reversed(job_entries(ledger, _NEWEST)))
        empty = '<tr><td colspan="6">Nothing received yet.</td></tr>'
        shown = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        text = _PAGE.read_text().replace("{{rows}}", rows or empty).replace("{{now}}", shown)
        return HTMLResponse(text)

    def listing(request: Request) -> Response:
        return JSONResponse(job_entries(ledger, _NEWEST))

    def one(request: Request) -> Response:
        try:
            return JSONResponse(job_entry(ledger, ledger.jobs.get(request.path_params["job_id"]), objects=True))
        except LedgerError as error:
            return JSONResponse({"error": str(error)}, status_code=404)

    def health(request: Request) -> Response:
        try:
            ledger.jobs.find(newest=1)
        except SQLAlchemyError as error:
            return JSONResponse({"status": "ledger unavailable", "error": type(error).__name__}, status_code=503)
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/api/jobs", listing),
            Route("/api/jobs/{job_id}", one),
            Route("/healthz", health),
        ]
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
        html.escape(entry["reason"]),
        entry["updated"],
        f'<a href="/api/jobs/{entry["job_id"]}">{entry["job_id"][:8]}</a>',
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
