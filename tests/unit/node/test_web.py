"""The status page and the JSON API, over HTTP."""

import json
import socket
import urllib.error
import urllib.request

import pytest
from support.records import PACS, instance, results

from node.domain import Analysed, Destination, JobState, NetworkEvent, NetworkEventKind, StudyFacts, Tally
from node.ledger.jobs import Filter
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


@pytest.fixture
def found(get, ledger):
    """Three studies of three patients; ask for some, get their numbers."""
    for n in range(3):
        facts = StudyFacts(patient_id=f"P{n}", patient_name=f"NAME^{n}", accession_number=f"A{n}")
        ledger.arrivals.register(instance(n, study=f"1.2.{n}"), facts)
    ledger.jobs.move(ledger.jobs.page(Filter(study_uid="1.2.2"))[0].job_id, JobState.COMPLETE)

    def found(query):
        status, _, text = get(f"/api/jobs?{query}")
        assert status == 200, text
        return sorted(job["study_uid"][-1] for job in json.loads(text))

    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "012"), ("state=receiving", "01"), ("state=receiving&state=complete", "012"), ("state=failed", ""),
        ("patient=P1", "1"), ("accession=A2", "2"), ("study=1.2.0", "0"), ("text=NAME%5E1", "1"),
        ("since=2000-01-01", "012"), ("since=2999-01-01T12:00", ""), ("offset=3", ""),
    ],
)  # fmt: skip
def test_a_list_is_restricted_by_parameters(found, query, expected):
    assert found(query) == list(expected)


def test_a_list_has_pages_newest_first(get, found, ledger):
    listed = [json.loads(get(f"/api/jobs?limit=2&offset={offset}")[2]) for offset in (0, 2)]
    assert [len(part) for part in listed] == [2, 1]
    created = [job["created"] for part in listed for job in part]
    assert created == sorted(created, reverse=True)
    page = get("/?limit=2&text=NAME")[2]
    assert "1–2 of 3" in page
    assert 'href="?limit=2&amp;text=NAME&amp;offset=2"' in page
    assert "NAME^" not in page
    assert "No study matches." in get("/?patient=nobody")[2]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=done", "'done' is not a valid JobState"), ("since=yesterday", "yesterday"), ("limit=many", "many"),
        ("patinet=P1", "'patinet' is not a parameter; choose from state, since, study, patient"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/jobs"])
def test_a_parameter_that_makes_no_sense_is_told(get, path, query, words):
    status, kind, text = get(f"{path}?{query}")
    assert (status, kind) == (400, "application/json")
    assert words in json.loads(text)["error"]


def test_one_job_as_json(get, job_id):
    status, _, text = get(f"/api/jobs/{job_id}")
    entry = json.loads(text)
    assert status == 200
    assert [made["kind"] for made in entry["objects"]] == ["seg", "sr"]
    assert entry["objects"][0]["deliveries"][0]["destination"] == "archive"


@pytest.mark.parametrize("path", ["/api/jobs/nobody", "/api/jobs/..%2f..%2fetc", "/nothing"])
def test_what_is_not_there_is_404(get, path):
    assert get(path)[0] == 404


def test_what_came_to_nothing_at_the_listener_is_shown(get, ledger):
    assert json.loads(get("/api/network")[2]) == []
    event = NetworkEvent(NetworkEventKind.REJECTED, "192.0.2.1", "not recognised", EVIL, "STRANGER", "FTMTL")
    ledger.network_events.add({event: Tally(1234, 0.0, 60.0)})
    page = get("/")[2]
    for word in ("STRANGER", "FTMTL", "192.0.2.1", "not recognised", "1,234 × · 1970-01-01T00:01:00.000Z"):
        assert f"{word}</td>" in page
    assert "<script" not in page
    (entry,) = json.loads(get("/api/network")[2])
    assert entry == {
        "kind": "rejected", "address": "192.0.2.1", "reason": "not recognised", "expected": EVIL,
        "calling_ae": "STRANGER", "called_ae": "FTMTL", "count": 1234,
        "first": "1970-01-01T00:00:00.000Z", "last": "1970-01-01T00:01:00.000Z",
    }  # fmt: skip


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
