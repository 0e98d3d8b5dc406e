"""Instances that arrive: each once, in the one open job of its study, whoever comes at once."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.jobs import delivering, put, received
from support.places import ROOT
from support.records import STUDY, instance, results

from node.domain import Cause, JobState
from node.ledger.arrivals import Registration

S = JobState


def test_register_enters_an_instance_as_it_is(ledger):
    sent = instance(1, laterality=None, view=None)
    assert ledger.arrivals.register(sent) is Registration.NEW
    (job,) = ledger.jobs.find()
    assert (job.state, job.study_uid) == (S.RECEIVING, STUDY)
    assert ledger.arrivals.instances(job.job_id) == [sent]


def test_the_same_bytes_again_are_activity_and_nothing_else(ledger, clock):
    ledger.arrivals.register(instance(1))
    (before,) = ledger.jobs.find()
    clock.now += 5
    assert ledger.arrivals.register(instance(1, received=9.0, key="elsewhere")) is Registration.SAME
    assert ledger.jobs.find() == [replace(before, last_received=clock.now)]
    assert ledger.arrivals.instances(before.job_id) == [instance(1)]


def test_another_version_takes_the_place_of_the_first_and_both_are_known(ledger, clock):
    first = received(ledger)
    put(ledger, first, S.DELIVERED)
    newer = instance(1, sha256="f" * 64)
    assert ledger.arrivals.register(newer, replace=Cause.CORRECTED) is Registration.NEW
    (second,) = ledger.jobs.find([S.RECEIVING])
    assert (second.cause, ledger.arrivals.instances(second.job_id)) == (Cause.CORRECTED, [newer])
    assert ledger.arrivals.instances(first) == [instance(1)], "what was analysed then stays on record"
    assert ledger.arrivals.current(newer.sop_instance_uid) == newer
    assert ledger.arrivals.register(instance(1)) is Registration.SAME, "the first version again"


def test_another_version_before_the_study_is_complete_replaces_the_first_in_its_job(ledger):
    job_id = received(ledger)
    newer = instance(1, sha256="f" * 64)
    ledger.arrivals.register(newer, replace=Cause.CORRECTED)
    assert [job.job_id for job in ledger.jobs.find()] == [job_id]
    assert ledger.arrivals.instances(job_id) == [newer]


def test_a_version_that_is_set_aside_changes_no_job(ledger):
    job_id = received(ledger)
    other = instance(1, sha256="f" * 64)
    ledger.arrivals.set_aside(other, "the first one counts")
    assert ledger.arrivals.instances(job_id) == [instance(1)]
    assert ledger.arrivals.register(other) is Registration.SAME, "it is known"


def test_a_report_is_stored_and_opens_no_job(ledger):
    report = instance(1, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.67", modality="SR")
    assert ledger.arrivals.register(report, image=False) is Registration.NEW
    assert ledger.jobs.find() == []
    assert ledger.arrivals.current(report.sop_instance_uid) == report
    job_id = received(ledger, 2)
    assert [i.modality for i in ledger.arrivals.instances(job_id)] == ["MG"]


def test_an_own_result_that_comes_back_is_known(ledger):
    job_id = delivering(ledger)
    before = ledger.jobs.find()
    back = instance(1, sop_instance_uid=results()[0].sop_instance_uid, modality="SEG")
    assert ledger.arrivals.register(back, image=False) is Registration.OWN
    assert ledger.jobs.find() == before
    assert [i.modality for i in ledger.arrivals.instances(job_id)] == ["MG"]


def test_other_bytes_under_a_known_uid_are_a_conflict_and_the_first_stays(ledger):
    ledger.arrivals.register(instance(1))
    before = ledger.jobs.find()
    assert ledger.arrivals.register(instance(1, sha256="f" * 64)) is Registration.CONFLICT
    assert ledger.jobs.find() == before
    assert ledger.arrivals.instances(before[0].job_id) == [instance(1)]


def test_a_uid_that_another_study_holds_is_a_conflict_too(ledger):
    ledger.arrivals.register(instance(1))
    assert ledger.arrivals.register(instance(1, study_uid="1.2.3", sha256="f" * 64)) is Registration.CONFLICT
    assert len(ledger.jobs.find()) == 1


def test_instances_of_a_study_meet_in_its_open_job(ledger, clock):
    ledger.arrivals.register(instance(1))
    clock.now += 5
    ledger.arrivals.register(instance(2))
    (job,) = ledger.jobs.find()
    assert len(ledger.arrivals.instances(job.job_id)) == 2
    assert (job.created, job.last_received) == (clock.now - 5, clock.now)


@pytest.mark.parametrize("state", [state for state in JobState if state is not S.RECEIVING])
def test_a_late_instance_opens_a_new_job(ledger, clock, state):
    first = received(ledger)
    put(ledger, first, state)
    clock.now += 60
    second = received(ledger, 2)
    assert second != first
    assert ledger.jobs.get(first).state is state
    assert [i.sop_instance_uid for i in ledger.arrivals.instances(second)] == [f"{STUDY}.1", f"{STUDY}.2"]
    assert [i.sop_instance_uid for i in ledger.arrivals.instances(first)] == [f"{STUDY}.1"]
    assert ledger.jobs.get(second).cause is Cause.LATE


@pytest.mark.parametrize("modality", ["MG", "OT"])
def test_a_late_image_that_is_refused_changes_nothing(ledger, modality):
    """Two readers behind one PACS must not answer each other for ever."""
    first = received(ledger)
    put(ledger, first, S.DELIVERED)
    late = instance(2, refusal="This is a secondary capture.", modality=modality)
    assert ledger.arrivals.register(late) is Registration.NEW
    assert [job.job_id for job in ledger.jobs.find()] == [first]
    ledger.arrivals.register(instance(3))
    (again,) = ledger.jobs.find([S.RECEIVING])
    assert [i.sop_instance_uid[-1] for i in ledger.arrivals.instances(again.job_id)] == ["1", "2", "3"]


@pytest.mark.parametrize(("modality", "count"), [("MG", 2), ("OT", 1)])
def test_a_study_of_which_nothing_could_be_read_is_looked_at_again(ledger, modality, count):
    ledger.arrivals.register(instance(1, refusal="This is a tomosynthesis volume."))
    put(ledger, ledger.jobs.find()[0].job_id, S.NOT_PROCESSED)
    ledger.arrivals.register(instance(2, refusal="This is another one.", modality=modality))
    assert len(ledger.jobs.find()) == count


def test_threads_that_bring_one_study_meet_in_one_job(ledger):
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: ledger.arrivals.register(instance(n // 2)), range(40)))
    assert outcomes.count(Registration.NEW) == outcomes.count(Registration.SAME) == 20
    (job,) = ledger.jobs.find()
    assert len(ledger.arrivals.instances(job.job_id)) == 20


PROCESS = """
import sys
sys.path.insert(0, sys.argv[3])
from support.records import instance
from node.ledger.ledger import Ledger
ledger = Ledger(sys.argv[1])
ledger.jobs.find()
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[2]), 40, 2):
    ledger.arrivals.register(instance(n))
    ledger.arrivals.register(instance(n, study=f"1.2.{n // 2}"))
"""


def test_processes_that_bring_one_study_meet_in_one_job(ledger):
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                PROCESS,
                str(ledger.database.engine.url),
                str(first),
                str(ROOT / "tests"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for first in (0, 1)
    ]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0
    counts = {}
    for job in ledger.jobs.find():
        assert job.study_uid not in counts, "two open jobs of one study"
        counts[job.study_uid] = len(ledger.arrivals.instances(job.job_id))
    assert counts == {STUDY: 40} | {f"1.2.{n}": 2 for n in range(20)}


def test_a_refused_instance_is_noted(ledger, clock):
    ledger.arrivals.reject("1.2.3", "MODALITY", 0xA900, "mismatch", None)
    (row,) = ledger.arrivals.rejected()
    assert (row["sop_instance_uid"], row["status"], row["reason"], row["key"]) == ("1.2.3", 0xA900, "mismatch", "")
    assert row["received"] == clock.now
