"""The command: what it prints, and how it says that it was not understood."""

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage, SegmentationStorage
from pynetdicom import AE
from pynetdicom.transport import AssociationServer
from support.jobs import answer, delivering
from support.records import PACS, instance

from node.cli.main import main
from node.cli.standalone import free_port
from node.domain import DeliveryState, JobState

DELIVERED = DeliveryState.DELIVERED
KEYS = ["job_id", "study_uid", "state", "reason", "outcome", "remarks", "created", "updated", "destinations"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """Run in an empty folder and an empty configuration; leave logging as it was."""
    monkeypatch.chdir(tmp_path)
    for name in ("NODE_DATA", "LEDGER_URL", "QUEUE_URL"):
        monkeypatch.delenv(f"FTMTL_{name}", raising=False)
    loggers = ("pynetdicom", "alembic", "kombu", "amqp", "highdicom", "pydicom", "PIL", "uvicorn", "py.warnings")
    levels = {name: logging.getLogger(name).level for name in loggers}
    yield
    logging.captureWarnings(False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def ftmtl(capsys):
    def ftmtl(*arguments):
        try:
            code = main(arguments)
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        return code, out, err

    return ftmtl


@pytest.fixture
def scp(monkeypatch):
    ae = AE("PACS")
    for sop_class in ("1.2.840.10008.1.1", SegmentationStorage, ComprehensiveSRStorage):
        ae.add_supported_context(sop_class)
    serve = AssociationServer.serve_forever
    monkeypatch.setattr(AssociationServer, "serve_forever", lambda self: serve(self, 0.01))  # and it stops at once
    server = ae.start_server(("127.0.0.1", 0), block=False)
    yield f"PACS@127.0.0.1:{server.socket.getsockname()[1]}"
    server.shutdown()


def test_jobs_as_json_has_the_documented_keys(ftmtl, ledger, tmp_path):
    ledger.arrivals.register(instance(study="1.2.3"))
    job_id = ledger.jobs.find()[0].job_id
    ledger.jobs.move(job_id, JobState.COMPLETE)
    ledger.jobs.route(job_id, [PACS])
    code, out, _ = ftmtl("jobs", "list", "--json", "--data", str(tmp_path))
    (entry,) = json.loads(out)
    assert code == 0
    assert list(entry) == KEYS
    assert entry["destinations"] == [{"name": "archive", "state": "pending"}]


def test_jobs_for_humans(ftmtl, ledger, tmp_path):
    assert ftmtl("jobs", "--data", str(tmp_path))[:2] == (0, "nothing received yet\n")
    ledger.arrivals.register(instance(study="1.2.3"))
    code, out, _ = ftmtl("jobs", "--data", str(tmp_path))
    assert code == 0
    assert ledger.jobs.find()[0].job_id[:8] in out
    assert "receiving" in out


def test_show_and_retry_take_the_beginning_of_an_id(ftmtl, ledger, tmp_path):
    ledger.arrivals.register(instance())
    job_id = ledger.jobs.find()[0].job_id
    ledger.jobs.move(job_id, JobState.COMPLETE)
    ledger.jobs.move(job_id, JobState.NOT_PROCESSED, reason="CT")
    code, out, _ = ftmtl("jobs", "show", job_id[:8], "--data", str(tmp_path))
    assert (code, json.loads(out)["reason"]) == (0, "CT")
    code, out, _ = ftmtl("jobs", "retry", job_id[:8], "--data", str(tmp_path))
    assert (code, ledger.jobs.get(job_id).state) == (0, JobState.COMPLETE)
    code, out, err = ftmtl("jobs", "retry", job_id[:8], "--data", str(tmp_path))
    assert (code, len(err.splitlines())) == (1, 1)
    assert "is complete" in err


@pytest.fixture
def sent(ledger):
    """A job that an archive has received, and the file that configures another destination."""
    job_id = delivering(ledger)
    answer(ledger, job_id, DELIVERED, DELIVERED)
    Path("node.toml").write_text(
        '[[destinations]]\nname = "second"\nae_title = "PACS2"\nhost = "h"\nport = 105\nobjects = ["seg", "sr"]\n'
    )
    return job_id


def test_retry_of_a_job_that_was_delivered_sends_nothing_unless_it_is_told_to(ftmtl, ledger, tmp_path, sent):
    code, out, _ = ftmtl("jobs", "retry", sent, "--data", str(tmp_path))
    assert (code, ledger.jobs.get(sent).state) == (0, JobState.DELIVERED)
    assert "delivered; there is nothing to send" in out
    code, out, _ = ftmtl("jobs", "retry", sent, "--again", "--to", "archive", "--data", str(tmp_path))
    assert (code, ledger.jobs.get(sent).state) == (0, JobState.DELIVERING)
    assert {d.state for d in ledger.deliveries.of(sent)} == {DeliveryState.PENDING}


def test_retry_to_a_destination_that_is_new_in_the_configuration(ftmtl, ledger, tmp_path, sent):
    arguments = ("jobs", "retry", sent, "--to", "second", "--data", str(tmp_path))
    code, _, err = ftmtl(*arguments)
    assert (code, len(err.splitlines())) == (1, 1)
    assert "'second' is neither a destination of job" in err
    assert ftmtl(*arguments, "--config", "node.toml")[0] == 0
    assert ledger.deliveries.waiting(sent) == ["second"]


def test_retry_now_asks_a_destination_that_did_not_answer(ftmtl, ledger, tmp_path):
    job_id = delivering(ledger)
    ledger.senders.leave_alone("archive", ledger.senders.claim("archive", 30), lambda _: 300.0, "no connection")
    ledger.senders.release("archive", 1)
    (silent,) = json.loads(ftmtl("jobs", "show", job_id, "--data", str(tmp_path))[1])["silent"]
    assert (silent["destination"], silent["comment"]) == ("archive", "no connection")
    assert silent["since"] < silent["retry_at"]
    assert ledger.senders.due() == []
    code, out, _ = ftmtl("jobs", "retry", job_id, "--now", "--data", str(tmp_path))
    assert (code, "delivering; the node will continue" in out) == (0, True)
    assert ledger.senders.due() == [(job_id, "archive")]
    assert json.loads(ftmtl("jobs", "show", job_id, "--data", str(tmp_path))[1])["silent"] == []


WRONG = {
    "no command": ((), "COMMAND"),
    "an unknown command": (("nope",), "nope"),
    "an unknown option": (("jobs", "--nope"), "--nope"),
    "a port in words": (("serve", "--port", "dicom"), "--port"),
    "a port out of range": (("serve", "--port", "70000", "--to", "P@h:1", "--standalone"), "node.port"),
    "a broken destination": (("serve", "--to", "PACS", "--standalone"), "AE@host:port"),
    "no queue": (("serve", "--to", "P@h:1"), "--standalone"),
    "no destination": (("serve", "--standalone"), "--to"),
    "a worker without a queue": (("worker",), "--queue-url"),
    "a broken peer": (("echo", "PACS"), "AE@host:port"),
    "a long title": (("echo", "P@h:1", "--calling-ae", "SEVENTEEN_LETTERS"), "AE title"),
    "no ledger": (("jobs",), "no ledger"),
    "no configuration": (("check", "--config", "absent.toml"), "absent.toml"),
    "a host beyond loopback": (("serve", "--host", "0.0.0.0", "--to", "P@h:1", "--standalone"), "peers"),
    "nothing to analyse": (("analyze",), "--out"),
    "distortions mapped to masses": (("analyze", "f", "--out", "o", "--map-distortion", "mass"), "--map-distortion"),
    "distortions mapped for nobody": (
        ("analyze", "f", "--out", "o", "--map-distortion", "density"),
        "distortions are mapped in 'cad' only",
    ),
    **{
        f"a phantom of spacing {spacing}": (("phantom", "--out", "o", f"--spacing={spacing}"), "give 0.04 to 1 mm")
        for spacing in ("0", "-1", "nan", "1e-9", "1e9", "wide")
    },
    "a phantom of a negative seed": (("phantom", "--out", "o", "--seed=-1"), "seeds are whole numbers from 0"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_what_is_not_understood_ends_with_2_and_says_why(ftmtl, arguments, words):
    code, out, err = ftmtl(*arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert words in last
    assert last.startswith("ftmtl")


def test_the_exit_statuses_of_analyze_are_documented(ftmtl):
    code, out, _ = ftmtl("analyze", "--help")
    assert code == 0
    for status in ("0  every image", "1  the command failed", "2  it was not", "3  some images", "4  no image"):
        assert status in out


@pytest.mark.parametrize("arguments", [("jobs", "show"), ("jobs", "retry"), ("jobs", "show", "ffff")])
def test_a_job_that_is_not_named_ends_with_2(ftmtl, ledger, tmp_path, arguments):
    code, _, err = ftmtl(*arguments, "--data", str(tmp_path))
    assert (code, len(err.splitlines())) == (2, 1)


def test_two_faults_are_two_lines(ftmtl):
    code, _, err = ftmtl("serve", "--to", "A", "--to", "B", "--standalone")
    assert (code, len(err.splitlines())) == (2, 2)


@pytest.mark.parametrize("url", ["nonsense", "nosuchdatabase://host/x", "sqlite:////proc/no/such"])
def test_a_ledger_that_cannot_be_used_is_one_line(ftmtl, monkeypatch, url):
    monkeypatch.setenv("FTMTL_LEDGER_URL", url)
    code, _, err = ftmtl("jobs")
    assert (code, len(err.splitlines())) == (1, 1), err
    code, out, err = ftmtl("check")
    assert code == 1
    assert "FAIL  ledger" in out


def test_a_ledger_without_tables_is_one_line(ftmtl, tmp_path):
    (tmp_path / "ledger.sqlite").touch()
    code, _, err = ftmtl("jobs", "--data", str(tmp_path))
    assert (code, len(err.splitlines())) == (1, 1)
    assert "no such table" in err


def test_a_data_folder_that_cannot_be_made_is_one_line(ftmtl, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = ftmtl("serve", "--standalone", "--to", "P@h:1", "--data", str(tmp_path / "file" / "data"))
    assert (code, len(err.splitlines())) == (1, 1)


def test_check_of_a_good_configuration(ftmtl, tmp_path, scp):
    host, _, port = scp.removeprefix("PACS@").partition(":")
    (tmp_path / "node.toml").write_text(
        f"[node]\nport = {free_port()}\nmin_free_gb = 0\n"
        f'[[destinations]]\nname = "archive"\nae_title = "PACS"\nhost = "{host}"\nport = {port}\n'
    )
    code, out, _ = ftmtl("check", "--config", "node.toml")
    assert code == 0, out
    assert "destination archive: PACS@127.0.0.1" in out
    assert "answers C-ECHO" in out
    assert "objects for archive: seg, sr is refused, sr-comprehensive is sent instead" in out
    assert "FAIL" not in out


def test_check_says_what_a_destination_would_not_get(ftmtl, tmp_path, scp):
    port = scp.rpartition(":")[2]
    (tmp_path / "node.toml").write_text(
        f"[node]\nport = {free_port()}\nmin_free_gb = 0\n"
        f'[[destinations]]\nname = "archive"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
        'objects = ["seg-labelmap", "cad"]\n'
    )
    code, out, _ = ftmtl("check", "--config", "node.toml")
    assert code == 1
    words = "seg-labelmap is refused, seg is sent instead, cad is refused, nothing is sent instead"
    assert f"FAIL  objects for archive: {words}" in out


def test_check_lists_everything_that_is_wrong(ftmtl, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (tmp_path / "node.toml").write_text(
            f"[node]\nport = {taken.getsockname()[1]}\nmin_free_gb = 1e9\n"
            f'[queue]\nurl = "redis://127.0.0.1:{free_port()}/0"\n[model]\nweights = "absent.safetensors"\n'
            f'[[destinations]]\nname = "archive"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {free_port()}\n'
        )
        code, out, _ = ftmtl("check", "--config", "node.toml")
    failed = {line.removeprefix("FAIL  ").split(":")[0] for line in out.splitlines() if line.startswith("FAIL")}
    assert code == 1
    assert failed == {"data folder", "queue", "DICOM port", "model", "destination archive"}


def test_echo(ftmtl, scp):
    assert ftmtl("echo", scp)[:2] == (0, f"{scp}: answers\n")


def test_echo_to_nobody(ftmtl):
    code, out, _ = ftmtl("echo", f"PACS@127.0.0.1:{free_port()}")
    assert code == 1
    assert "does not answer" in out


def test_the_installed_module_runs():
    done = subprocess.run([sys.executable, "-m", "node.cli", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Research use only" in " ".join(done.stdout.split())
