"""What a program reads that knows DICOM and nothing of this project: objects of one study, with pydicom alone.

Four views of a phantom and their raw twins are analysed by the command. Each line is a question to what it wrote.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing
from support.peers import BIN

from ftmtl.phantom.dicom import write_study

VIEWS = 4
ACQUIRED = "20250102"
PROBABILITY_OF_CANCER, CAD_SUMMARY, DETECTIONS, DETECTION = "111047", "111017", "111064", "111022"
INTENT, FALSE_MARKERS, HORIZONTAL_SPACING, LATERALITY, VIEW = "111056", "111086", "111026", "111027", "111031"
TRACKING_ID, PROCEDURE, MANUFACTURER, OBSERVER, GROUP, FINDING = (
    "112039", "121058", "122405", "121013", "125007", "121071",
)  # fmt: skip
CLUSTER, MAMMOGRAPHY, ALL_SUCCEEDED_WITH_FINDINGS = "129769006", "71651007", "111242"


def walk(parent: Dataset) -> Iterator[Dataset]:
    for item in parent.get("ContentSequence") or ():
        yield item
        yield from walk(item)


def name_of(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def told(ds: Dataset, name: str) -> list[str]:
    """Return the values of all items of a name, as text."""
    values = []
    for item in walk(ds):
        if name_of(item) == name:
            number = item.get("MeasuredValueSequence")
            code = item.get("ConceptCodeSequence")
            values.append(str(number[0].NumericValue if number else code[0].CodeValue if code else item.TextValue))
    return values


class Results:
    """The objects of a study, by what they are."""

    def __init__(self, folder: Path) -> None:
        self.all = [dcmread(path) for path in folder.rglob("*.dcm")]
        self.sr, self.cad = (self._of_class(end)[0] for end in (".88.34", ".88.50"))
        self.segmentations, self.states, self.page = (self._of_class(end) for end in (".66.4", ".11.1", ".1.7"))
        self.images = [*self.segmentations, *self.states, *self.page]
        self.lesions = sum(len(seg.SegmentSequence) for seg in self.segmentations)

    def _of_class(self, end: str) -> list[Dataset]:
        return [ds for ds in self.all if str(ds.SOPClassUID).endswith(end)]


def analyse(given: Path, out: Path) -> Results:
    command = [BIN / "ftmtl", "analyze", given, "--out", out, "--objects", "seg,sr,cad,pr,sc"]
    subprocess.run(command, check=False, capture_output=True, timeout=300)
    return Results(out)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("study")
    for path, _ in write_study(folder / "in", 5):
        ds = dcmread(path)
        ds.EstimatedRadiographicMagnificationFactor = 1.1
        order = Dataset()
        order.RequestedProcedureID, order.ScheduledProcedureStepID = "RP1", "SPS1"
        ds.RequestAttributesSequence = Items([order])
        ds.save_as(path)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForProcessing
        ds.PresentationIntentType = "FOR PROCESSING"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID[:-2]}99"
        ds.save_as(path.with_stem(f"raw_{path.stem}"))
    return analyse(folder / "in", folder / "out")


def _meanings(ds: Dataset) -> list[str]:
    return [str(i.ConceptNameCodeSequence[0].CodeMeaning) for i in walk(ds) if "ConceptNameCodeSequence" in i]


def _summaries(results: Results) -> list[str]:
    return [told(ds, CAD_SUMMARY)[0] for ds in (results.sr, results.cad)]


def _lesion_groups(ds: Dataset) -> int:
    groups = [item.ContentSequence for item in walk(ds) if name_of(item) == GROUP]
    return sum(any(name_of(item) == FINDING for item in group) for group in groups)


def _uncalibrated(ds: Dataset) -> int:
    return sum("Cancer score, uncalibrated" in meaning for meaning in _meanings(ds))


def _created(ds: Dataset) -> list[str]:
    times = [ds.InstanceCreationDate, ds.get("ContentDate") or ds.PresentationCreationDate]
    return [*times, str(ds.ContributingEquipmentSequence[0].ContributionDateTime)[:8]]


LINES: dict[str, Callable[[Results], bool]] = {
    "1: nothing is a probability of cancer": lambda r: not any(told(d, PROBABILITY_OF_CANCER) for d in (r.sr, r.cad)),
    "1: every image's outcome is a code": lambda r: len(told(r.sr, DETECTIONS)) == VIEWS,
    "3: it was made later than the image": lambda r: all(day > ACQUIRED for ds in r.all for day in _created(ds)),
    "3: each series names the model": lambda r: all("FT-MTL-Net cesm-2" in ds.SeriesDescription for ds in r.all),
    "4: calcifications were looked for": lambda r: CLUSTER in told(r.cad, DETECTION),
    "5: raw twins do not count": lambda r: _summaries(r) == [ALL_SUCCEEDED_WITH_FINDINGS] * 2,
    "6: a reader may choose": lambda r: len(set(told(r.cad, INTENT))) > 1 and len(told(r.cad, FALSE_MARKERS)) >= 3,
    "8: no class contradicts a score": lambda r: "AI malignancy class" not in _meanings(r.sr),
    "9: scores are called uncalibrated": lambda r: bool(_uncalibrated(r.sr) and _uncalibrated(r.cad)),
    "10: a number is one lesion": lambda r: len({t.split()[-1] for t in told(r.cad, TRACKING_ID)}) == r.lesions > 2,
    "11: spacing is that of the detector": lambda r: {float(um) for um in told(r.cad, HORIZONTAL_SPACING)} == {100.0},
    "12: breasts and study have scores": lambda r: _uncalibrated(r.sr) == _uncalibrated(r.cad) == r.lesions + 3,
    "13: the report has an image library": lambda r: len(told(r.sr, LATERALITY)) == len(told(r.sr, VIEW)) == VIEWS,
    "14: the order is carried": lambda r: (
        all("RequestAttributesSequence" in ds for ds in r.images)
        and all("ReferencedRequestSequence" in ds for ds in (r.sr, r.cad))
    ),
    "14: the procedure is mammography": lambda r: told(r.sr, PROCEDURE) == [MAMMOGRAPHY],
    "15: the algorithm has a manufacturer": lambda r: set(told(r.sr, MANUFACTURER)) == {"ftmtl-node"},
    "15: a lesion is one group": lambda r: _lesion_groups(r.sr) == r.lesions,
    "17: presentation states share a series": lambda r: len({ds.SeriesInstanceUID for ds in r.states}) == 1,
    "17: one character set": lambda r: {ds.get("SpecificCharacterSet") for ds in r.all} == {"ISO_IR 192"},
    "17: body part and device": lambda r: (
        all(ds.get("BodyPartExamined") == "BREAST" for ds in r.images) and all("DeviceUID" in ds for ds in r.all)
    ),
    "17: an observer has a name": lambda r: told(r.sr, OBSERVER) == ["FT-MTL-Net cesm-2"],
}


@pytest.mark.parametrize("line", LINES)
def test_what_it_reads(line: str, results: Results) -> None:
    assert LINES[line](results)


def test_two_headers_that_differ_in_the_side_only_make_other_objects(tmp_path: Path) -> None:
    """2: a PACS that drops what it already has would keep the wrong side."""
    runs = []
    for side, orientation in (("L", ["A", "R"]), ("R", ["A", "L"])):
        ((path, _),) = write_study(tmp_path / side, 6, views=[("L", "CC")])
        ds = dcmread(path)
        ds.ImageLaterality, ds.PatientOrientation, ds.SeriesDescription = side, orientation, "Mammography"
        ds.save_as(path)
        runs.append({str(made.SOPInstanceUID) for made in analyse(tmp_path / side, tmp_path / f"out {side}").all})
    assert len(runs[0]) == 5
    assert not runs[0] & runs[1]
