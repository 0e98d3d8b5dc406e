"""The status page and the JSON API, over HTTP."""

import json
import socket
import urllib.error
import urllib.request

import pytest
from support.records import PACS, instance, results

from node.domain import Analysed, Destination, JobState
from node.web.app import WebServer

EVIL = "<script>alert('x')</script>&"


@pytest.fixture
def get(ledger):
    server = WebServer(ledger, "127.0.0.1", 0)
    port = server.start()

    def get(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get_content_type(), error.read().decode()

    yield get
    server.stop()


@pytest.fixture
def job_id(ledger):
    ledger.arrivals.register(instance())
    job_id = ledger.jobs.find()[0].job_id
    ledger.jobs.move(job_id, JobState.COMPLETE)
    ledger.jobs.route(job_id, [PACS])
    ledger.deliveries.begin(job_id, ledger.jobs.claim(job_id, JobState.ANALYSING, 30), Analysed(results(), 1.0))
    return job_id


def test_an_empty_page_says_so(get):
    status, kind, text = get("/")
    assert (status, kind) == (200, "text/html")
    assert "Nothing received yet." in text
    assert "Research use only" in text
    assert "{{" not in text


def test_the_page_shows_each_study(get, job_id, ledger):
    text = get("/")[2]
    assert instance().study_uid in text
    assert "archive: pending" in text
    assert f'href="/api/jobs/{job_id}"' in text


def test_what_others_wrote_is_escaped(get, ledger):
    ledger.arrivals.register(instance(study=EVIL))
    job_id = ledger.jobs.find()[0].job_id
    ledger.jobs.move(job_id, JobState.COMPLETE)
    ledger.jobs.route(job_id, [Destination(EVIL, "PACS", "h", 1)])
    ledger.jobs.finish(job_id, ledger.jobs.claim(job_id, JobState.ANALYSING, 30), JobState.FAILED, EVIL)
    text = get("/")[2]
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 3


def test_jobs_as_json(get, job_id):
    status, kind, text = get("/api/jobs")
    (entry,) = json.loads(text)
    assert (status, kind) == (200, "application/json")
    assert (entry["job_id"], entry["state"]) == (job_id, "delivering")
    assert "objects" not in entry


def test_one_job_as_json(get, job_id):
    status, _, text = get(f"/api/jobs/{job_id}")
    entry = json.loads(text)
    assert status == 200
    assert [made["kind"] for made in entry["objects"]] == ["seg", "sr"]
    assert entry["objects"][0]["deliveries"][0]["destination"] == "archive"


@pytest.mark.parametrize("path", ["/api/jobs/nobody", "/api/jobs/..%2f..%2fetc", "/nothing"])
def test_what_is_not_there_is_404(get, path):
    assert get(path)[0] == 404


def test_health(get, ledger, monkeypatch):
    assert get("/healthz")[0] == 200
    with ledger.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO gone")
    status, _, text = get("/healthz")
    assert (status, json.loads(text)["status"]) == (503, "ledger unavailable")


def test_a_port_that_is_taken_is_an_os_error(ledger):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = WebServer(ledger, "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="port"):
            server.start()
        server.stop()
