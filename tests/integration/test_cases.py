"""Inputs that users of such systems complained of, through ``ftmtl analyze`` and a node: what each must give."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support.cases import LESION, write_cases
from support.peers import BIN, NodeProcess, Orthanc, run_tool, wait_for
from support.records import SR

from ftmtl.header.suitability import LEFT_ASIDE, LOW_ENERGY, SYNTHETIC_2D
from ftmtl.mammogram.appearance import INVERTED, SEVERAL

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
"""Some values are illegal on purpose."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case: its entry in the summary, and its objects by kind."""

    study: dict[str, Any]
    objects: dict[str, list[Dataset]]

    @property
    def image(self) -> dict[str, Any]:
        (image,) = self.study["images"]
        return image

    def words(self) -> dict[str, str]:
        """All text of each kind of objects."""
        return {kind: " ".join(map(words_of, found)) for kind, found in self.objects.items()}


def words_of(ds: Dataset) -> str:
    return " ".join(str(element.value) for element in ds.iterall())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return write_cases(tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="module")
def outcomes(written: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    out = tmp_path_factory.mktemp("out")
    folder = next(iter(written.values()))[0].parents[1]
    command = [str(BIN / "ftmtl"), "analyze", str(folder), "--out", str(out), "--objects", "seg,sr,cad,pr,sc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    studies = {study["study_uid"]: study for study in json.loads((out / "summary.json").read_text())["studies"]}
    found = {}
    for name, paths in written.items():
        study = studies[dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID]
        objects: dict[str, list[Dataset]] = {}
        for made in study["objects"]:
            objects.setdefault(made["kind"], []).append(dcmread(out / made["path"]))
        found[name] = Outcome(study, objects)
    return found


def assert_the_lesion(outcome: Outcome, factor: int = 1) -> None:
    (finding,) = outcome.image["findings"]
    assert finding["box"] == pytest.approx([factor * edge for edge in LESION], abs=4 * factor)
    assert finding["lesion_score"] > 0.9


def assert_said_everywhere(outcome: Outcome, *sentences: str) -> None:
    for sentence in sentences:
        assert any(sentence in note for image in outcome.study["images"] for note in image["notes"])
        for kind, words in outcome.words().items():
            assert sentence in words, kind


@pytest.mark.parametrize("name", ["overlay-bits-in-j2k", "high-bit-15-of-12", "voi-lut-8-bit-in-words"])
def test_pixels_and_tables_in_rare_forms_show_the_lesion_alone(name, outcomes):
    assert_the_lesion(outcomes[name])


def test_a_presentation_state_is_as_bright_as_what_the_model_saw(outcomes, tmp_path):
    outcome = outcomes["voi-lut-says-16-uses-14"]
    assert_the_lesion(outcome)
    (state,) = outcome.objects["pr"]
    state.save_as(tmp_path / "state.dcm")
    assert run_tool("dciodvfy", "-new", tmp_path / "state.dcm")[0] == 0
    (lut,) = state.SoftcopyVOILUTSequence[0].VOILUTSequence
    table = np.frombuffer(lut.LUTData, "<u2")
    assert lut.LUTDescriptor[2] == 16
    assert (table[0], table[-1]) == (0, round(65535 * 16380 / 16383))


def test_an_inverted_image_is_refused(outcomes):
    assert outcomes["polarity-inverse-shape-on-normal-pixels"].image["reason"] == INVERTED


@pytest.mark.parametrize(
    ("name", "words"),
    [("window-whitens-the-breast", "of the breast is white"), ("window-beyond-the-data", "no breast can be seen")],
)
def test_a_window_that_hides_the_breast_is_replaced_and_said(name, words, outcomes):
    assert_the_lesion(outcomes[name])
    assert_said_everywhere(outcomes[name], words, "it was stretched to the image's own range")


def test_a_contradiction_about_the_side_is_said(outcomes):
    outcome = outcomes["side-says-left-all-else-right"]
    assert outcome.image["laterality"] == "L"
    assert len(outcome.image["findings"]) == 1
    assert_said_everywhere(outcome, "Image Laterality says left, but Patient Orientation is that of the right breast")


def test_four_views_on_one_capture_are_refused(outcomes):
    assert outcomes["four-views-on-one-capture"].image["reason"] == SEVERAL


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("magnification-by-factor-only", "a magnification view (Estimated Radiographic Magnification Factor 1.8)"),
        ("spot-view-by-paddle-only", "a spot compression view (Paddle Description SPOT)"),
        ("contrast-subtraction", "a recombined or subtracted contrast image (Image Type SUBTRACTION)"),
        ("mammogram-in-a-ct-class", "not a mammogram: CT Image Storage object"),
    ],
)
def test_other_kinds_of_images_are_refused_by_name(name, words, outcomes):
    assert outcomes[name].study["outcome"] == "not_processed"
    assert words in outcomes[name].image["reason"]


def test_an_impossible_spacing_measures_nothing(outcomes):
    outcome = outcomes["spacing-1-of-2400-rows"]
    assert_the_lesion(outcome, factor=4)
    (finding,) = outcome.image["findings"]
    assert (finding["area_mm2"], finding["long_axis_mm"]) == (None, None)
    assert_said_everywhere(outcome, "that spacing was not used")


def test_annotations_that_are_burned_into_a_source_are_burned_into_the_page(outcomes):
    (page,) = outcomes["burned-in-annotation-yes"].objects["sc"]
    assert page.BurnedInAnnotation == "YES"
    (page,) = outcomes["contrast-low-energy"].objects["sc"]
    assert page.BurnedInAnnotation == "NO"


def test_full_field_images_go_before_generated_ones(outcomes):
    study = outcomes["combo-2d-synthetic-dbt"].study
    assert study["coverage"] == "Read: R CC, L CC, R MLO, L MLO."
    read = [image for image in study["images"] if image["outcome"] in ("findings", "no_findings")]
    assert len(read) == 4
    assert not any(image["notes"] for image in read)
    reasons = [image["reason"] for image in study["images"] if image not in read]
    assert reasons.count(LEFT_ASIDE) == 4
    assert sum("a tomosynthesis volume" in reason for reason in reasons) == 4


def test_generated_images_are_read_where_there_is_nothing_else_and_forms_never(outcomes):
    outcome = outcomes["synthetic-only-and-a-form"]
    images = outcome.study["images"]
    assert [image["outcome"] for image in images[4:]] == ["not_processed"] * 5
    assert "names neither a breast nor a view" in images[8]["reason"]
    assert all(image["notes"] == [SYNTHETIC_2D] for image in images[:4])
    assert_said_everywhere(outcome, SYNTHETIC_2D)
    assert_said_everywhere(outcomes["synthetic-told-by-description-only"], SYNTHETIC_2D)


def test_low_energy_images_are_read_and_said(outcomes):
    assert_the_lesion(outcomes["contrast-low-energy"])
    assert_said_everywhere(outcomes["contrast-low-energy"], LOW_ENERGY)


@pytest.mark.parametrize("name", ["patient-id-of-80", "patient-id-with-backslash"])
def test_nothing_is_made_under_another_identity(name, outcomes):
    assert outcomes[name].study["outcome"] == "not_processed"
    assert "the Patient ID" in outcomes[name].study["reason"]
    assert outcomes[name].objects == {}


def test_undeclared_utf_8_is_read(outcomes):
    outcome = outcomes["undeclared-utf-8"]
    assert outcome.objects.keys() == {"seg", "sr", "cad", "pr", "sc"}
    assert {str(ds.PatientName) for found in outcome.objects.values() for ds in found} == {"Mülle^Jörg"}


@pytest.mark.peer
def test_a_combination_by_one_association_per_instance(written, node: NodeProcess, orthanc: Orthanc) -> None:
    """Generated images arrive first: whatever was analysed early, the last report reads the full-field images."""
    node.start()
    for path in written["combo-2d-synthetic-dbt"]:
        node.storescu("-R", path)
    study = dcmread(written["combo-2d-synthetic-dbt"][0], stop_before_pixels=True).StudyInstanceUID

    def all_ended() -> list[dict[str, Any]]:
        jobs = node.jobs()
        return jobs if jobs and all(job["state"] == "delivered" for job in jobs) else []

    jobs = wait_for(all_ended, 120, "every job to be delivered")
    assert jobs[0]["remarks"][0] == "Read: R CC, L CC, R MLO, L MLO."
    reports = [ds for ds in orthanc.instances(study) if ds.SOPClassUID == SR]
    replaced = {
        item.ReferencedSOPInstanceUID
        for ds in reports
        for of in ds.get("PredecessorDocumentsSequence", ())
        for series in of.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    (last,) = (ds for ds in reports if ds.SOPInstanceUID not in replaced)
    assert "Read: R CC, L CC, R MLO, L MLO." in words_of(last)
    assert "Generated 2D" not in words_of(last)
    assert len(reports) == len(jobs) <= 2
