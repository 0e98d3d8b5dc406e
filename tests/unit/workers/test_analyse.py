"""The analysis task over studies that the model does not read, and the delivery of what it has to say of them."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from pydicom import dcmread
from support.clocks import Clock
from support.records import MG_RAW, PACS, FakeQueue, configuration, instance

from ftmtl.findings import (
    Attempt,
    Finding,
    FindingType,
    ImageResult,
    LesionMask,
    ModelIdentity,
    OperatingPoint,
    Outcome,
    StudyResult,
)
from ftmtl.phantom.dicom import write_study
from node.domain import DeliveryState, JobState, Predecessor
from node.flow.dispatch import DELIVER
from node.kinds import ObjectKind as Kind
from node.results.kept import keep_result, read_result
from node.store.spool import Spool
from workers import analyse

MODEL = ModelIdentity("FT-MTL-Net", "1.0", "0123456789abcdef" * 4)


class Reader:
    """A predictor that is given no image to read."""

    model = MODEL

    def predict(self, study_uid, mammograms):
        assert mammograms == []
        return StudyResult(study_uid, MODEL)


class Blind:
    """A predictor that finds nothing."""

    model = MODEL

    def predict(self, study_uid, mammograms):
        acquisitions = [mammogram.acquisition for mammogram in mammograms]
        images = (ImageResult(a.sop_instance_uid, a.laterality, a.view, Outcome.NO_FINDINGS) for a in acquisitions)
        return StudyResult(study_uid, MODEL, tuple(images))


class Quoting:
    """A predictor that fails, and quotes a patient's name."""

    model = MODEL

    def predict(self, study_uid, mammograms):
        raise KeyError("GRETEL^SECRET")


@pytest.fixture
def raw(tmp_path):
    """A For Processing image."""
    ((path, _),) = write_study(tmp_path / "study", 1, spacing_mm=0.4, views=[("L", "CC")])
    ds = dcmread(path)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MG_RAW
    ds.PresentationIntentType = "FOR PROCESSING"
    ds.save_as(path)
    return path


def test_its_report_is_delivered_and_the_job_ends_as_not_processed(ledger, raw, tmp_path):
    ds = dcmread(raw, stop_before_pixels=True)
    ledger.arrivals.register(instance(sop_instance_uid=ds.SOPInstanceUID, study_uid=ds.StudyInstanceUID, key="raw.dcm"))
    job_id = ledger.jobs.find()[0].job_id
    ledger.jobs.move(job_id, JobState.COMPLETE)
    ledger.jobs.route(job_id, [PACS])
    spool, queue = Spool(tmp_path / "spool"), FakeQueue()
    spool.path("raw.dcm").write_bytes(raw.read_bytes())
    analyse.AnalysisTask(configuration(), ledger, spool, queue, Reader()).run(job_id)
    assert ledger.jobs.get(job_id).state is JobState.DELIVERING
    assert queue.waiting == [(DELIVER, job_id, "archive")]
    folder = spool.results(job_id)
    (study,) = json.loads((folder / "summary.json").read_text())["studies"]
    (made,) = study["objects"]
    assert (study["outcome"], made["kind"]) == (Outcome.NOT_PROCESSED, "sr")
    report = dcmread(made["path"])
    assert {p.name for p in folder.iterdir()} == {"result.npz", "summary.json", f"{report.SOPInstanceUID}.dcm"}
    attempt = ledger.senders.claim("archive", 30)
    (delivery,) = ledger.deliveries.of(job_id)
    ledger.deliveries.record(job_id, attempt, replace(delivery, state=DeliveryState.DELIVERED, status=0))
    assert ledger.jobs.get(job_id).state is JobState.NOT_PROCESSED
    comment = report.ContentSequence[-1].ContentSequence[-1]
    assert comment.TextValue == f"L CC not attempted: {ledger.jobs.get(job_id).reason}"
    assert ledger.deliveries.retry(job_id) is JobState.COMPLETE


def test_a_result_is_kept_whole(tmp_path):
    mask = LesionMask(np.eye(3, dtype=bool), 7, 5)
    sure = Finding((7.0, 5.0, 10.0, 8.0), mask, 0.9, 0.25, FindingType.MASS, 1.5, 2.5, np.full((3, 3), 128, np.uint8))
    images = (
        ImageResult("1.2", "L", "CC", Outcome.FINDINGS, "", (sure, replace(sure, probability=None)), (0.1, 0.1), "x"),
        ImageResult("1.3", None, None, Outcome.NOT_PROCESSED, "why", attempt=Attempt.NOT_MADE),
    )
    points = (OperatingPoint(0.8, 0.5, 0.05), OperatingPoint(0.0, 0.9, 0.4))
    model = replace(MODEL, looks_for=(FindingType.MASS,), operating_points=points, measured_on="phantoms")
    result = StudyResult("1.1", model, images, 0.5)
    predecessors = {Kind.SR: Predecessor("1.1", "1.4", "1.5", "1.6")}
    keep_result(tmp_path, result, predecessors)
    read, replaced = read_result(tmp_path)
    assert replaced == predecessors
    assert repr(read) == repr(result)
    assert read.images[0].findings[0].mask.pixels.dtype == bool
    keep_result(tmp_path, StudyResult("1.1", MODEL), {})
    assert read_result(tmp_path) == (StudyResult("1.1", MODEL), {})


def test_an_image_whose_header_cannot_be_read_is_left_out(tmp_path):
    """The physician's name has a VR that there is not: pydicom raises NotImplementedError when it is looked at."""
    written = write_study(tmp_path / "study", 1, spacing_mm=0.4, views=[("L", "CC"), ("R", "CC")])
    spoilt, good = (path for path, _ in written)
    data = spoilt.read_bytes()
    spoilt.write_bytes(data.replace(b"\x08\x00\x90\x00PN", b"\x08\x00\x90\x00QQ"))
    analysis = analyse.analyse_study([spoilt, good], Blind(), tmp_path / "results")
    first, second = analysis.result.images
    assert (first.outcome, first.reason) == (Outcome.NOT_PROCESSED, "The header of this image is damaged.")
    assert second.outcome is Outcome.NO_FINDINGS


def test_the_reason_of_a_failed_job_quotes_no_values(ledger, raw, tmp_path):
    ds = dcmread(raw, stop_before_pixels=True)
    ledger.arrivals.register(instance(sop_instance_uid=ds.SOPInstanceUID, study_uid=ds.StudyInstanceUID, key="raw.dcm"))
    job_id = ledger.jobs.find()[0].job_id
    ledger.jobs.move(job_id, JobState.COMPLETE)
    ledger.jobs.route(job_id, [PACS])
    spool = Spool(tmp_path / "spool")
    spool.path("raw.dcm").write_bytes(raw.read_bytes())
    analyse.AnalysisTask(configuration(), ledger, spool, FakeQueue(), Quoting()).run(job_id)
    job = ledger.jobs.get(job_id)
    assert (job.state, job.reason) == (JobState.FAILED, "KeyError")


def deliver(ledger, job_id):
    """Record that the archive has stored everything of a job."""
    attempt = ledger.senders.claim("archive", 30)
    for delivery in ledger.deliveries.of(job_id):
        if delivery.state is DeliveryState.PENDING:
            ledger.deliveries.record(job_id, attempt, replace(delivery, state=DeliveryState.DELIVERED, status=0))
    ledger.senders.release("archive", attempt)


def test_both_reports_name_the_ones_that_they_replace_and_have_times_of_their_own(ledger, tmp_path):
    ledger.clock = clock = Clock()
    spool, queue = Spool(tmp_path / "spool"), FakeQueue()
    archive = replace(PACS, objects=(Kind.SEG, Kind.SR, Kind.CAD))
    task = analyse.AnalysisTask(configuration([archive]), ledger, spool, queue, Blind())
    reports = []
    for path, _ in write_study(tmp_path / "study", 1, spacing_mm=0.4, views=[("L", "CC"), ("L", "MLO")]):
        ds = dcmread(path, stop_before_pixels=True)
        uids = {"sop_instance_uid": ds.SOPInstanceUID, "study_uid": ds.StudyInstanceUID, "series_uid": "1.9"}
        ledger.arrivals.register(instance(**uids, view=ds.ViewPosition, key=path.name, sha256=path.stem))
        spool.path(path.name).write_bytes(path.read_bytes())
        (job_id,) = (job.job_id for job in ledger.jobs.find() if job.state is JobState.RECEIVING)
        ledger.jobs.move(job_id, JobState.COMPLETE)
        ledger.jobs.route(job_id, [archive])
        task.run(job_id)
        made = {one.kind: dcmread(spool.path(str(one.path))) for one in ledger.deliveries.objects(job_id)}
        reports.append(made)
        deliver(ledger, job_id)
        clock.now += 3600
    older, newer = reports
    for kind in (Kind.SR, Kind.CAD):
        assert "PredecessorDocumentsSequence" not in older[kind]
        (study,) = newer[kind].PredecessorDocumentsSequence
        (replaced,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert replaced.ReferencedSOPInstanceUID == older[kind].SOPInstanceUID, kind
        assert replaced.ReferencedSOPClassUID == older[kind].SOPClassUID
        times = [
            datetime.strptime(ds.ContentDate + ds.ContentTime, "%Y%m%d%H%M%S") for ds in (older[kind], newer[kind])
        ]
        assert times[1] - times[0] == timedelta(hours=1)


def test_the_same_analysis_again_writes_the_same_bytes(ledger, tmp_path):
    ledger.clock = clock = Clock()
    spool, queue = Spool(tmp_path / "spool"), FakeQueue()
    ((path, _),) = write_study(tmp_path / "study", 1, spacing_mm=0.4, views=[("L", "CC")])
    ds = dcmread(path, stop_before_pixels=True)
    ledger.arrivals.register(
        instance(sop_instance_uid=ds.SOPInstanceUID, study_uid=ds.StudyInstanceUID, key=path.name, sha256="1")
    )
    spool.path(path.name).write_bytes(path.read_bytes())
    runs = []
    for _ in range(2):
        job_id = ledger.jobs.find()[0].job_id
        ledger.jobs.move(job_id, JobState.COMPLETE)
        ledger.jobs.route(job_id, [PACS])
        analyse.AnalysisTask(configuration(), ledger, spool, queue, Blind()).run(job_id)
        objects = ledger.deliveries.objects(job_id)
        runs.append({one.sop_instance_uid: spool.path(str(one.path)).read_bytes() for one in objects})
        clock.now += 86_400
        ledger.jobs.move(job_id, JobState.FAILED)
    assert runs[0] == runs[1]
