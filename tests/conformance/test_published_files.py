"""Published files of every other kind: none is a mammogram, each is accounted for, and so are their headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian
from support.analyses import accepted, analyse, analyse_folder, words
from support.breasts import COLUMNS, ROWS, breast
from support.every_kind import OF_THE_STUDY
from support.realdata import edge_files, real_data
from support.validators import Run

from ftmtl.findings import ImageResult, Outcome
from ftmtl.header.classes import is_image
from ftmtl.header.suitability import MG_FOR_PRESENTATION
from node.cli import offline
from node.domain import ResultObject
from node.kinds import ObjectKind as Kind
from workers.analyse import Analysis

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def published() -> list[Path]:
    """Return all of them."""
    files = edge_files()
    assert len(files) == 80
    return files


def is_dicom(path: Path) -> bool:
    try:
        return bool(dcmread(path, stop_before_pixels=True))
    except InvalidDicomError:
        return False


def test_no_published_file_is_a_mammogram_and_each_report_says_so(tmp_path: Path, run_tool: Run) -> None:
    """What has no UIDs or no size gets no object of its own; its reason is in the result."""
    files = list(filter(is_dicom, published()))
    objects: list[ResultObject] = []
    for path in files:
        analysis = analyse([path], tmp_path / path.name)
        if not is_image(str(dcmread(path, stop_before_pixels=True).get("SOPClassUID", ""))):
            assert (analysis.result.images, analysis.objects) == ((), ())
            continue
        (image,) = analysis.result.images
        assert image.outcome is Outcome.NOT_PROCESSED, path
        assert image.reason.endswith("."), path
        told_in_words(analysis, image)
        objects += analysis.objects
    assert len(objects) > 55 * len(OF_THE_STUDY)
    accepted(objects, run_tool, files)


def told_in_words(analysis: Analysis, image: ImageResult) -> None:
    """Look for the reason in all objects of a study of which nothing was analysed."""
    assert [made.kind for made in analysis.objects] in ([], OF_THE_STUDY)
    for made in analysis.objects:
        assert image.reason in words(made.path), made.kind


def test_their_headers_on_mammograms_give_valid_results(tmp_path: Path, run_tool: Run) -> None:
    """Each is passed off as a mammogram and given a breast, so that findings inherit the headers of most.

    The others give the same results as above.
    """
    analysed: dict[str, Path] = {}
    objects: list[ResultObject] = []
    for path in filter(is_dicom, published()):
        ds = dcmread(path)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MG_FOR_PRESENTATION
        ds.Modality = "MG"
        if "PixelData" in ds and ds.original_encoding[1]:
            show_a_breast(ds)
        called = tmp_path / path.name
        ds.save_as(called)
        analysis = analyse([called], tmp_path / f"{path.name} results")
        (image,) = analysis.result.images
        if image.outcome is Outcome.FINDINGS:
            assert [made.kind for made in analysis.objects] == list(Kind), path
            analysed[path.name] = called
            objects += analysis.objects
        else:
            told_in_words(analysis, image)
    assert {"MR2_J2KI.dcm", "RG3_J2KR.dcm", "explicit_VR-UN.dcm", "US1_UNCR.dcm"} <= analysed.keys()
    accepted(objects, run_tool, list(analysed.values()))


def show_a_breast(ds: Dataset) -> None:
    """Replace the pixels of an image by a breast, and what describes them."""
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    for keyword in ("NumberOfFrames", "PlanarConfiguration", "WindowCenter", "WindowWidth", "PixelPaddingValue"):
        ds.pop(keyword, None)
    del ds.PixelData
    ds.PixelData = breast().tobytes()
    ds["PixelData"].VR = "OW"


def test_the_command_accounts_for_every_published_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is in the summary: as an image of its own study, or as left out, and either way with a reason."""
    files = published()
    status, summary = analyse_folder(real_data("edge"), tmp_path, monkeypatch)
    assert status == offline.Status.NONE
    left_out = {entry["path"]: entry["reason"] for entry in summary["skipped"]}
    told = [(study["study_uid"], image) for study in summary["studies"] for image in study["images"]]
    assert len(told) + len([path for path in left_out if path.endswith(".dcm")]) == len(files)
    assert all(reason for reason in left_out.values())
    assert all(image["reason"] for _, image in told)
    for study in summary["studies"]:
        for made in study["objects"]:
            assert dcmread(tmp_path / made["path"], stop_before_pixels=True).StudyInstanceUID == study["study_uid"]
