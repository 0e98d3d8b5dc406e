"""Studies that arrive in pieces, twice, corrected or mixed up: one study, one current report."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    ImplicitVRLittleEndian,
    XRayRadiationDoseSRStorage,
)
from pynetdicom import AE
from support.peers import BIN, NodeProcess, Orthanc, running_orthanc, wait_for
from support.records import SR

from ftmtl.phantom.dicom import write_study
from node.results.common.content import walk

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]
ENDED = {"delivered", "not_processed", "failed", "held"}
Images = list[Dataset]


class Line:
    """A node and an Orthanc that many studies go through."""

    def __init__(self, node: NodeProcess, orthanc: Orthanc) -> None:
        self.node, self.orthanc = node, orthanc

    def send(self, *images: Dataset, calling: str = "MODALITY") -> None:
        """Send images over one association; each must be answered 0x0000."""
        ae = AE(calling)
        for context in {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in images}:
            ae.add_requested_context(*context)
        assoc = ae.associate("127.0.0.1", self.node.port, ae_title="FTMTL")
        assert assoc.is_established
        assert [assoc.send_c_store(ds).Status for ds in images] == [0x0000] * len(images)
        assoc.release()

    def ended(self, study_uid: str, count: int) -> list[dict]:
        """Wait until so many jobs of a study have ended; return them, oldest first."""

        def jobs() -> list[dict] | None:
            found = [job for job in self.node.jobs() if job["study_uid"] == study_uid][::-1]
            assert len(found) <= count, found
            return found if len(found) == count and all(job["state"] in ENDED for job in found) else None

        return wait_for(jobs, 60, f"{count} jobs of {study_uid} to end")

    def results(self, study_uid: str) -> Images:
        return self.orthanc.instances(study_uid)

    def reports(self, study_uid: str) -> Images:
        """Return the reports of a study, each one before the one that replaces it."""
        reports = [ds for ds in self.results(study_uid) if ds.SOPClassUID == SR]
        return sorted(reports, key=lambda report: len(self._before(report, reports)))

    def _before(self, report: Dataset, reports: Images) -> Images:
        replaced = predecessor(report)
        found = [other for other in reports if other.SOPInstanceUID == replaced]
        return found + [before for other in found for before in self._before(other, reports)]

    def ftmtl(self, *arguments: str) -> str:
        command = [str(BIN / "ftmtl"), "jobs", *arguments, "--data", str(self.node.data)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("line")
    with running_orthanc(folder / "orthanc") as orthanc:
        node = NodeProcess(
            folder / "data", orthanc.port, FTMTL_ASSEMBLY_QUIET_S="2", FTMTL_ASSEMBLY_SETTLE_S="1",
            FTMTL_NODE_MIN_FREE_GB="0",
        )  # fmt: skip
        node.start()
        yield Line(node, orthanc)
        node.stop()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Four views of a phantom with a mass."""
    return [dcmread(path) for path, _ in write_study(tmp_path_factory.mktemp("drawn"), 211, spacing_mm=0.4)]


@pytest.fixture
def study(drawn: Images, request: pytest.FixtureRequest) -> Callable[[], Images]:
    """The four views under UIDs of a study of the test's own."""
    number = str(abs(hash(request.node.name)))

    def make() -> Images:
        images = [deepcopy(ds) for ds in drawn]
        for ds in images:
            ds.StudyInstanceUID = f"2.25.{number}"
            ds.SeriesInstanceUID += f".{number[:8]}"[: 64 - len(ds.SeriesInstanceUID)]
            uid = f"2.25.{number[:12]}{abs(hash(str(ds.SOPInstanceUID))) % 10**20}"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
        return images

    return make


def predecessor(report: Dataset) -> str | None:
    """Return the UID of the report that a report replaces."""
    for document in report.get("PredecessorDocumentsSequence", ()):
        return str(document.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    return None


def named(report: Dataset, images: Sequence[Dataset]) -> set[str]:
    """Return which of some images a report rests on."""
    evidence = {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    return evidence & {str(ds.SOPInstanceUID) for ds in images}


def implicit(ds: Dataset) -> Dataset:
    """Encode an image as a PACS that knows no other transfer syntax does."""
    buffer = BytesIO()
    copy = deepcopy(ds)
    copy.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    copy.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return dcmread(BytesIO(buffer.getvalue()))


def uids(images: Sequence[Dataset]) -> set[str]:
    return {str(ds.SOPInstanceUID) for ds in images}


def test_an_association_per_image_is_one_job(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    for ds in images:
        line.send(ds)
    (job,) = line.ended(images[0].StudyInstanceUID, 1)
    assert job["state"] == "delivered"
    (report,) = line.reports(images[0].StudyInstanceUID)
    assert named(report, images) == uids(images)


def test_processed_and_raw_views_in_one_association_are_one_job(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    raw = [deepcopy(ds) for ds in images]
    for ds in raw:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForProcessing
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID + "9"
        ds.PresentationIntentType = "FOR PROCESSING"
    line.send(*images, *raw)
    line.ended(images[0].StudyInstanceUID, 1)
    (report,) = line.reports(images[0].StudyInstanceUID)
    assert named(report, [*images, *raw]) == uids(images), "raw twins are left aside"


def test_a_late_view_is_analysed_with_the_whole_study(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    line.send(*images[:3])
    line.ended(images[0].StudyInstanceUID, 1)
    before = uids(line.results(images[0].StudyInstanceUID))
    line.send(images[3])
    first, second = line.ended(images[0].StudyInstanceUID, 2)
    assert (first["state"], second["state"]) == ("delivered", "delivered")
    older, newer = line.reports(images[0].StudyInstanceUID)
    assert (predecessor(older), predecessor(newer)) == (None, older.SOPInstanceUID)
    assert named(newer, images) == uids(images)
    sent = uids(line.results(images[0].StudyInstanceUID)) - before
    assert newer.SOPInstanceUID in sent
    assert len(sent) <= 2, "the report, and the mask of the late view; what has not changed is not sent again"
    assert "forward_seconds" in line.ftmtl("show", second["job_id"])


def test_synthetic_2d_first_then_2d_and_tomosynthesis(line: Line, study: Callable[[], Images]) -> None:
    """Each object over an association of its own, the synthetic image first."""
    images = study()
    synthetic, tomosynthesis = deepcopy(images[0]), deepcopy(images[0])
    synthetic.ImageType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]
    tomosynthesis.SOPClassUID = BreastTomosynthesisImageStorage
    tomosynthesis.file_meta.MediaStorageSOPClassUID = BreastTomosynthesisImageStorage
    for n, ds in enumerate((synthetic, tomosynthesis)):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{images[0].SOPInstanceUID}{n}"
    for ds in (synthetic, images[0], tomosynthesis):
        line.send(ds)
    jobs = line.ended(images[0].StudyInstanceUID, 1)
    assert [job["state"] for job in jobs] == ["delivered"]
    (report,) = line.reports(images[0].StudyInstanceUID)
    assert named(report, images[:1]) == uids(images[:1])


def test_the_same_values_in_another_encoding_change_nothing(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    line.send(*images)
    line.ended(images[0].StudyInstanceUID, 1)
    line.send(*map(implicit, images))
    line.send(*images)
    line.ended(images[0].StudyInstanceUID, 1)
    assert len(line.reports(images[0].StudyInstanceUID)) == 1


def test_a_corrected_name_leads_to_a_report_under_it(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    line.send(*images)
    line.ended(images[0].StudyInstanceUID, 1)
    for ds in images:
        ds.PatientName = "CORRECTED^NAME"
    line.send(*images)
    jobs = line.ended(images[0].StudyInstanceUID, 2)
    assert {job["state"] for job in jobs} == {"delivered"}
    older, newer = line.reports(images[0].StudyInstanceUID)
    assert (older.PatientName, newer.PatientName) == ("PHANTOM^211", "CORRECTED^NAME")
    assert predecessor(newer) == older.SOPInstanceUID


def test_two_patients_in_one_study_are_held_until_released(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    images[1].PatientID = "ANOTHER"
    line.send(*images)
    (job,) = line.ended(images[0].StudyInstanceUID, 1)
    assert job["state"] == "held"
    assert "different patients" in job["reason"]
    assert "ANOTHER" not in job["reason"]
    assert line.results(images[0].StudyInstanceUID) == []
    line.ftmtl("retry", job["job_id"])
    wait_for(lambda: line.results(images[0].StudyInstanceUID), 60, "results after the release")


def test_another_spelling_of_the_name_is_the_same_patient(line: Line, study: Callable[[], Images]) -> None:
    """The report carries the newest spelling; what is about one image has that image's."""
    images = study()
    images[-1].PatientName = "PHANTOM^ZWEIHUNDERTELF Ä"
    images[-1].SpecificCharacterSet = "ISO_IR 192"
    line.send(*images)
    (job,) = line.ended(images[0].StudyInstanceUID, 1)
    assert job["state"] == "delivered"
    (report,) = line.reports(images[0].StudyInstanceUID)
    assert report.PatientName == "PHANTOM^ZWEIHUNDERTELF Ä"
    spelled = {ds.SOPInstanceUID: ds.PatientName for ds in images}
    masks = [ds for ds in line.results(images[0].StudyInstanceUID) if ds.Modality == "SEG"]
    for ds in masks:
        source = ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
        assert ds.PatientName == spelled[source]
    assert masks


def test_a_dose_report_and_own_results_are_stored_and_not_counted(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    dose = deepcopy(images[0])
    del dose.PixelData
    dose.SOPClassUID = dose.file_meta.MediaStorageSOPClassUID = XRayRadiationDoseSRStorage
    dose.SOPInstanceUID = dose.file_meta.MediaStorageSOPInstanceUID = f"{images[0].SOPInstanceUID}7"
    dose.Modality = "SR"
    line.send(*images, dose)
    line.ended(images[0].StudyInstanceUID, 1)
    (report,) = line.reports(images[0].StudyInstanceUID)
    assert any("4 of 4 mammograms analysed" in item.ds.get("TextValue", "") for item in walk(report))
    line.send(*line.results(images[0].StudyInstanceUID))
    line.ended(images[0].StudyInstanceUID, 1)


def test_a_reanalysis_by_the_same_model_sends_nothing(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    line.send(*images)
    line.ended(images[0].StudyInstanceUID, 1)
    before = line.orthanc.count()
    line.ftmtl("reanalyse", images[0].StudyInstanceUID)
    first, second = line.ended(images[0].StudyInstanceUID, 2)
    assert second["state"] == "delivered"
    assert second["destinations"] == first["destinations"]
    assert line.orthanc.count() == before


def test_a_second_model_adds_its_own_results(line: Line, study: Callable[[], Images]) -> None:
    images = study()
    line.send(*images)
    line.ended(images[0].StudyInstanceUID, 1)
    (by_first,) = line.reports(images[0].StudyInstanceUID)
    weights = str(Path(__file__).parents[2] / "ftmtl" / "shipped" / "ftmtl-phantom.safetensors")
    line.ftmtl("reanalyse", images[0].StudyInstanceUID, "--weights", weights)
    line.ended(images[0].StudyInstanceUID, 2)
    reports = line.reports(images[0].StudyInstanceUID)
    assert len(reports) == 2
    assert {predecessor(report) for report in reports} == {None}, "each model's report stands for itself"
    assert len({report.SoftwareVersions[-1] for report in reports}) == 2
    count = line.orthanc.count()
    line.ftmtl("reanalyse", images[0].StudyInstanceUID)
    line.ended(images[0].StudyInstanceUID, 3)
    assert line.orthanc.count() == count
    assert by_first.SOPInstanceUID in uids(reports)
