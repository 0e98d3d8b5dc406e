"""The analysis task over a study that the model does not read."""

import json

import pytest
from pydicom import dcmread
from records import MG_RAW, PACS, FakeQueue, instance

from ftmtl.findings import ModelIdentity, Outcome, StudyResult
from ftmtl.phantom_dicom import write_study
from node.domain import JobState
from node.spool import Spool
from workers import analyse

MODEL = ModelIdentity("FT-MTL-Net", "1.0", "0123456789abcdef" * 4)


class Reader:
    """A predictor that is given nothing to read."""

    def predict(self, study_uid, mammograms):
        assert mammograms == []
        return StudyResult(study_uid, MODEL)


@pytest.fixture
def raw(tmp_path):
    """A For Processing image."""
    ((path, _),) = write_study(tmp_path / "study", 1, spacing_mm=0.4, views=[("L", "CC")])
    ds = dcmread(path)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MG_RAW
    ds.PresentationIntentType = "FOR PROCESSING"
    ds.save_as(path)
    return path


def test_its_report_lies_beside_the_summary_and_is_not_delivered(ledger, raw, tmp_path):
    ds = dcmread(raw, stop_before_pixels=True)
    ledger.register(instance(sop_instance_uid=ds.SOPInstanceUID, study_uid=ds.StudyInstanceUID, path=raw))
    job_id = ledger.jobs()[0].job_id
    ledger.move(job_id, JobState.COMPLETE)
    ledger.route(job_id, [PACS])
    spool, queue = Spool(tmp_path / "spool"), FakeQueue()
    options = {"lease_s": 30, "task_limit_s": 60, "secondary_capture": True}
    analyse.run(job_id, ledger, spool, queue, Reader(), **options)
    job = ledger.job(job_id)
    assert job.state is JobState.NOT_PROCESSED
    assert job.reason
    assert ledger.objects(job_id) == []
    assert queue.waiting == []
    folder = spool.results(job_id)
    (study,) = json.loads((folder / "summary.json").read_text())["studies"]
    (made,) = study["objects"]
    assert (study["outcome"], made["kind"]) == (Outcome.NOT_PROCESSED, "sr")
    report = dcmread(made["path"])
    assert {path.name for path in folder.iterdir()} == {"summary.json", f"{report.SOPInstanceUID}.dcm"}
    comment = report.ContentSequence[-1].ContentSequence[-1]
    assert comment.TextValue == f"L CC not processed: {job.reason}"
