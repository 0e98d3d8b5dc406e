"""All kinds of objects of one study: each tells of the same lesions, and so do all together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support import mg
from support.every_kind import CADS, OF_THE_STUDY, REPORTS
from support.measurement_reports import groups
from support.objects import enclosed, source_of
from support.studies import WITH_PIXELS, Study, make_study

from ftmtl.findings import Finding, StudyResult
from ftmtl.mammogram.pixels import display_pixels
from node.kinds import ObjectKind as Kind
from node.results.build import build_results
from node.results.common import codes
from node.results.common.content import children, value_of, walk
from node.results.common.lesions import lesions_of
from node.results.readback import ReadFinding, read_cad_findings, read_findings

MASKS = (Kind.SEG, Kind.SEG_OHIF, Kind.SEG_FRACTIONAL, Kind.SEG_LABELMAP)


class Lesion(NamedTuple):
    """What was found, and what every object has to call it."""

    source_uid: str
    name: str
    finding: Finding
    n: int


class Tree(NamedTuple):
    """A study's findings by Tracking UID, and all objects that were written about them, read back."""

    study: Study
    result: StudyResult
    lesions: dict[str, Lesion]
    paths: dict[Kind, list[Path]]

    def read(self, *kinds: Kind) -> Iterator[Dataset]:
        """Yield the objects of some kinds."""
        return (dcmread(path) for kind in kinds for path in self.paths[kind])


Grow = Callable[[str], Tree]
OF_EACH = pytest.mark.parametrize("name", WITH_PIXELS)


@pytest.fixture(scope="module")
def grow(tmp_path_factory: pytest.TempPathFactory) -> Grow:
    """Write all kinds of objects of a study, once."""
    folder = tmp_path_factory.mktemp("tree")

    @cache
    def grow(name: str) -> Tree:
        study = make_study(name, folder / name, pixels=True)
        result = told_apart(study.result(findings=True))
        paths: dict[Kind, list[Path]] = {kind: [] for kind in Kind}
        for made in build_results(result, study.paths, folder / f"{name} results", list(Kind), display=display_pixels):
            paths[made.kind].append(made.path)
        lesions = {
            lesion.tracking_uid: Lesion(uid, lesion.tracking_id, lesion.finding, lesion.rank)
            for uid, lesions in lesions_of(result).items()
            for lesion in lesions
        }
        return Tree(study, result, lesions, paths)

    return grow


def told_apart(result: StudyResult) -> StudyResult:
    """Give every lesion of a study a probability of its own."""
    chances = count(94, -3)
    images = [
        replace(image, findings=tuple(replace(f, lesion_score=next(chances) / 100) for f in image.findings))
        for image in result.images
    ]
    return replace(result, images=tuple(images))


def probabilities(finding: Finding | ReadFinding) -> list[float | None]:
    """Return both probabilities to hundredths of a per cent, as objects may round them."""
    return [pytest.approx(p, abs=6e-5) for p in (finding.lesion_score, finding.cancer_score)]


@OF_EACH
def test_there_is_an_object_of_each_kind_for_whatever_it_is_of(name: str, grow: Grow) -> None:
    tree = grow(name)
    images = len({lesion.source_uid for lesion in tree.lesions.values()})
    assert {kind: len(paths) for kind, paths in tree.paths.items()} == {
        kind: 1 if kind in OF_THE_STUDY else images for kind in Kind
    }
    assert images == min(2, len(tree.study.paths))


@OF_EACH
def test_every_kind_names_the_same_lesions(name: str, grow: Grow) -> None:
    """Tracking UID and Tracking Identifier; a page has neither."""
    tree = grow(name)
    due = {(uid, lesion.name) for uid, lesion in tree.lesions.items()}
    for kind in MASKS:
        segments = [s for ds in tree.read(kind) for s in ds.SegmentSequence if s.SegmentNumber]
        assert sorted((s.TrackingUID, s.TrackingID) for s in segments) == sorted(due), kind
    for kind in CADS:
        told = [tracked(item.ds) for ds in tree.read(kind) for item in walk(ds)]
        assert {pair for pair in told if pair} == due, kind
    for kind in REPORTS:
        told = [tracked(group) for ds in tree.read(kind) for group in groups(ds)]
        assert sorted(told) == sorted(due), kind
    drawn = [g for ds in tree.read(Kind.PR) for g in ds.GraphicAnnotationSequence[0].GraphicObjectSequence]
    assert sorted((g.TrackingUID, g.TrackingID) for g in drawn) == sorted(due)


def tracked(parent: Dataset) -> tuple[str, str] | None:
    """Return Tracking UID and Identifier of a group, if that is what it is."""
    told = {item.name: item.ds for item in children(parent)}
    if codes.TRACKING_UID.value not in told:
        return None
    return tuple(str(value_of(told[name.value])) for name in (codes.TRACKING_UID, codes.TRACKING_IDENTIFIER))


@OF_EACH
def test_every_report_gives_the_same_places_and_probabilities(name: str, grow: Grow) -> None:
    tree = grow(name)
    for kind in (*REPORTS, *CADS):
        found = read_findings(tree.paths[kind])
        if kind in CADS:
            found = read_cad_findings(*tree.read(kind))
        assert {f.tracking_uid for f in found} == tree.lesions.keys(), kind
        for told in found:
            source_uid, _, finding, _ = tree.lesions[told.tracking_uid]
            assert told.source_uid == source_uid, kind
            assert told.box == finding.box, kind
            assert [told.lesion_score, told.cancer_score] == probabilities(finding), kind


@OF_EACH
def test_every_segmentation_has_the_masks(name: str, grow: Grow) -> None:
    """By Tracking UID, on the image that it says it is of."""
    tree = grow(name)
    for kind in MASKS:
        seen = set()
        for ds in tree.read(kind):
            frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
            for segment in (s for s in ds.SegmentSequence if s.SegmentNumber):
                source_uid, _, finding, n = tree.lesions[segment.TrackingUID]
                one_frame = ds.SegmentationType == "LABELMAP"
                told = frames[0] == segment.SegmentNumber if one_frame else frames[segment.SegmentNumber - 1] > 0
                assert source_of(ds) == source_uid, kind
                assert segment.SegmentNumber == n, kind
                assert np.array_equal(told, finding.mask.paste(ds.Rows, ds.Columns)), kind
                seen.add(segment.TrackingUID)
        assert seen == tree.lesions.keys(), kind


@OF_EACH
def test_reports_have_the_segmentations_of_the_same_lesions_as_evidence(name: str, grow: Grow) -> None:
    """A lesion's segment is the one of its Tracking UID; its segmentation is there for the report to refer to."""
    tree = grow(name)
    for reports, masks in ((REPORTS[:2], Kind.SEG), (REPORTS[2:], Kind.SEG_OHIF)):
        segments = {
            (ds.SOPInstanceUID, segment.TrackingUID)
            for ds in tree.read(masks)
            for segment in ds.SegmentSequence
            if segment.SegmentNumber
        }
        for kind in reports:
            pointed = set()
            for ds in tree.read(kind):
                (study,) = ds.CurrentRequestedProcedureEvidenceSequence
                listed = [i for series in study.ReferencedSeriesSequence for i in series.ReferencedSOPSequence]
                evidence = {i.ReferencedSOPInstanceUID for i in listed}
                told = {tracked(item.ds)[0] for item in walk(ds) if tracked(item.ds)} & tree.lesions.keys()
                pointed |= {(seg, uid) for seg, uid in segments if seg in evidence and uid in told}
            assert pointed == segments, kind
            assert {uid for _, uid in pointed} == tree.lesions.keys(), kind


@OF_EACH
def test_outlines_enclose_the_masks(name: str, grow: Grow) -> None:
    """Those of reports, presentation states and the CAD report are the same, and each is its segment's border."""
    tree = grow(name)
    reported = {f.tracking_uid: f for f in read_findings([*tree.paths[Kind.SR], *tree.paths[Kind.SEG]])}
    drawn = {
        f.tracking_uid: f for f in read_findings([*tree.paths[Kind.SR], *tree.paths[Kind.SEG], *tree.paths[Kind.PR]])
    }
    marked = {f.tracking_uid: f for f in read_cad_findings(*tree.read(Kind.CAD))}
    assert drawn.keys() == marked.keys() == tree.lesions.keys()
    for uid, told in drawn.items():
        assert np.array_equal(told.outline, marked[uid].outline)
        assert np.array_equal(told.outline, reported[uid].outline)
        mask = tree.lesions[uid].finding.mask
        inside = enclosed(told.outline, *mask.pixels.shape, mask)
        assert np.array_equal(inside, mask.pixels)
        assert np.array_equal(mask.paste(*told.mask.shape), told.mask)


@OF_EACH
def test_what_is_written_for_people_has_the_same_numbers(name: str, grow: Grow) -> None:
    """Beside each outline, and on the page."""
    tree = grow(name)
    words = {
        uid: f"lesion score {100 * found.lesion_score:.0f}, cancer score {100 * found.cancer_score:.0f}"
        for uid, (_, _, found, _) in tree.lesions.items()
    }
    labels = {
        text.TrackingUID: text.UnformattedTextValue
        for ds in tree.read(Kind.PR)
        for text in ds.GraphicAnnotationSequence[0].TextObjectSequence
        if "TrackingUID" in text
    }
    assert labels == {
        uid: f"{lesion.name.split()[-1]}: {words[uid].replace(' score', '')}" for uid, lesion in tree.lesions.items()
    }
    (page,) = tree.read(Kind.SC)
    # The page numbers views of the same name, as it has to where an image does not tell its view.
    lines = [re.sub(r" \(\d\)(?= lesion)", "", line) for line in page.ImageComments.splitlines()]
    for uid, (_, title, finding, _) in tree.lesions.items():
        size = "" if finding.long_axis_mm is None else f", {finding.long_axis_mm:.0f} mm"
        assert f"{title} ({finding.type}): {words[uid]}{size}" in lines
    assert sum(": lesion score" in line for line in lines) == len(tree.lesions)


@OF_EACH
def test_every_object_names_the_same_algorithm(name: str, grow: Grow) -> None:
    """By name and version wherever it is named at all, and as the equipment of each object."""
    tree, due = grow(name), (mg.MODEL.name, mg.MODEL.version)
    devices = set()
    for ds in tree.read(*Kind):
        assert (ds.ManufacturerModelName, ds.SoftwareVersions[1]) == due
        (made_by,) = ds.ContributingEquipmentSequence
        assert (made_by.ManufacturerModelName, made_by.SoftwareVersions[1]) == due
        devices.add((ds.DeviceSerialNumber, made_by.DeviceSerialNumber, made_by.DeviceUID))
    assert len(devices) == 1
    for ds in tree.read(*MASKS):
        for segment in (s for s in ds.SegmentSequence if s.SegmentNumber):
            (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
            assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == due
            assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == codes.ARTIFICIAL_INTELLIGENCE.value
    for ds in tree.read(*REPORTS, *CADS):
        named = [item.ds for item in walk(ds) if tracked(item.ds)]
        assert named
        for group in named:
            told = {item.name: value_of(item.ds) for item in children(group) if item.type == "TEXT"}
            assert (told[codes.ALGORITHM_NAME.value], told[codes.ALGORITHM_VERSION.value]) == due
    for ds in tree.read(Kind.PR):
        corner = ds.GraphicAnnotationSequence[0].TextObjectSequence[-1]
        assert " ".join(due) in corner.UnformattedTextValue
    for ds in tree.read(Kind.SC):
        assert f"Model: {' '.join(due)}" in ds.ImageComments.splitlines()


@OF_EACH
def test_every_object_is_of_the_same_patient_and_study(name: str, grow: Grow) -> None:
    tree = grow(name)
    (first, *others) = [*tree.study.headers, *tree.read(*Kind)]
    keywords = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate")
    for ds in others:
        assert [ds.get(keyword) or None for keyword in keywords] == [first.get(keyword) or None for keyword in keywords]
    uids = [ds.SOPInstanceUID for ds in others]
    assert len(set(uids)) == len(uids)
