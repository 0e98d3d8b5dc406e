"""Data sets by name, divided by patient, loaded once and looked at."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ftmtl.datasets import load
from ftmtl.datasets.annotated import AnnotatedImage, Lesion
from ftmtl.datasets.catalogue import NAMES, DataSource, list_images
from ftmtl.datasets.load import load_samples
from ftmtl.datasets.phantoms import TRAINING_SEED, phantom_images
from ftmtl.datasets.sample import Sample
from ftmtl.datasets.splits import patient_folds, split_patients
from ftmtl.datasets.survey import picture_sheet, survey
from ftmtl.errors import DatasetError
from ftmtl.findings import FindingType
from ftmtl.mammogram.load import Mammogram, from_array

SIZE = (96, 80)


@dataclass(frozen=True, kw_only=True)
class Listed(AnnotatedImage):
    """An image drawn from its number; a negative number is a damaged file."""

    number: int = 0
    version: str = "1"

    def load(self) -> tuple[Mammogram, tuple[Lesion, ...]]:
        if self.number < 0:
            raise DatasetError(f"{self.image_id}.dcm is damaged")
        pixels = np.zeros((120, 100), dtype=np.float32)
        pixels[10:110, :60] = np.linspace(0.3, 0.8, 100, dtype=np.float32)[:, None]
        mask = np.zeros(pixels.shape, dtype=bool)
        mask[30 : 45 + self.number % 20, 10:40] = True
        outlined = Lesion.from_mask(mask, FindingType.MASS, True)
        boxed = Lesion((20.0, 80.0, 30.0, 90.0), FindingType.LESION, None)
        return from_array(pixels, "L"), (outlined, boxed)

    @property
    def fingerprint(self) -> str:
        return f"{self.image_id} {self.version}"


def listed(count: int, *, per_patient: int = 1, malignant_every: int = 3, **values: object) -> list[Listed]:
    """List images of patients; the first image of every so-many-th patient is malignant."""
    return [
        Listed(
            image_id=f"image-{i}",
            patient=f"p{i // per_patient:03d}",
            malignant=(i // per_patient) % malignant_every == 0 and i % per_patient == 0,
            number=i,
            **values,
        )
        for i in range(count)
    ]


def assert_equal(first: list[Sample], second: list[Sample]) -> None:
    assert [(s.image_id, s.patient) for s in first] == [(s.image_id, s.patient) for s in second]
    for one, other in zip(first, second, strict=True):
        for name in ("pixels", "masks", "outlined", "malignant", "types"):
            a, b = getattr(one, name), getattr(other, name)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


# loading


def test_a_cache_gives_the_same_samples_without_decoding(tmp_path, monkeypatch):
    images = listed(5)
    plain = load_samples(images, SIZE)
    assert [sample.image_id for sample in plain] == [image.image_id for image in images]
    assert plain[0].outlined.tolist() == [True, False]
    assert_equal(load_samples(images, SIZE, cache=tmp_path / "new" / "cache"), plain)
    monkeypatch.setattr(Listed, "load", None)
    assert_equal(load_samples(images, SIZE, cache=tmp_path / "new" / "cache"), plain)
    with pytest.raises(TypeError):
        load_samples(images, SIZE)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_cache_file_is_made_again(tmp_path, caplog, damage):
    images = listed(2)
    plain = load_samples(images, SIZE, cache=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    assert_equal(load_samples(images, SIZE, cache=tmp_path), plain)
    assert caplog.text.count("is damaged and will be replaced") == 2
    caplog.clear()
    assert_equal(load_samples(images, SIZE, cache=tmp_path), plain)
    assert not caplog.text
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz"}


def test_what_changes_is_read_again(tmp_path, monkeypatch):
    images = listed(1)
    load_samples(images, SIZE, cache=tmp_path)
    load_samples([replace(images[0], version="2")], SIZE, cache=tmp_path)
    load_samples(images, (48, 40), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr(load, "_code", lambda reader: "other code")
    load_samples(images, SIZE, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_an_image_without_lesions_is_cached_too(tmp_path):
    images = [image for image in phantom_images(5, 30, spacing_mm=1.0) if not image.lesions][:1]
    plain = load_samples(images, SIZE, cache=tmp_path)
    assert plain[0].masks.shape == (0, *SIZE)
    assert_equal(load_samples(images, SIZE, cache=tmp_path), plain)


def test_processes_load_the_same_in_order(tmp_path):
    images = phantom_images(7, 9, spacing_mm=1.0)
    assert_equal(load_samples(images, SIZE, workers=2, cache=tmp_path), load_samples(images, SIZE, workers=0))
    assert len(list(tmp_path.iterdir())) == 9


def test_damaged_images_are_named(caplog):
    images = listed(3)
    images[1] = replace(images[1], number=-1)
    with pytest.raises(DatasetError, match=r"image-1\.dcm is damaged"):
        load_samples(images, SIZE)
    with caplog.at_level(logging.WARNING):
        assert [s.image_id for s in load_samples(images, SIZE, faults="skip")] == ["image-0", "image-2"]
    assert caplog.text.count("left out: image-1.dcm is damaged") == 1
    with pytest.raises(DatasetError, match="none of 1 images could be loaded"):
        load_samples(images[1:2], SIZE, faults="skip")
    with pytest.raises(DatasetError, match="no images"):
        load_samples([], SIZE)


# by name


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("phantoms:500", DataSource("phantoms", count=500, seed=TRAINING_SEED)),
        ("phantoms:5@3000000", DataSource("phantoms", count=5, seed=3_000_000)),
        ("phantoms:5@7#dense", DataSource("phantoms", count=5, seed=7, kinds=("dense",))),
        ("inbreast:/data/in breast", DataSource("inbreast", Path("/data/in breast"))),
        ("cbis-ddsm:/data#test", DataSource("cbis-ddsm", Path("/data"), split="test")),
        ("cdd-cesm:/data#DM", DataSource("cdd-cesm", Path("/data"), kinds=("DM",))),
        ("mias:~/mias", DataSource("mias", Path.home() / "mias")),
    ],
)
def test_a_source_is_read_from_text(text, source):
    assert DataSource.parse(text) == source
    assert DataSource.parse(str(source)) == source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("imagenet:/data", ", ".join(NAMES)),
        ("", ", ".join(NAMES)),
        ("inbreast", "inbreast needs a folder"),
        ("inbreast:", "inbreast needs a folder"),
        ("cbis-ddsm:/data#validation", "train or test, not 'validation'"),
        ("phantoms:many", "phantoms:COUNT@SEED, not 'many'"),
        ("phantoms:5@x", "phantoms:COUNT@SEED, not '5@x'"),
        ("phantoms:0", "at least 1"),
        ("phantoms:5#fatty", "the only kind of phantoms is dense, not fatty"),
    ],
)
def test_a_wrong_source_is_refused_in_one_sentence(text, message):
    with pytest.raises(DatasetError) as caught:
        DataSource.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sources_are_listed(tmp_path):
    assert [image.image_id for image in list_images(DataSource.parse("phantoms:2@9"))] == ["phantom-9", "phantom-10"]
    assert [image.image_id for image in list_images(DataSource.parse("phantoms:1@9#dense"))] == ["phantom-dense-9"]
    (tmp_path / "labels.csv").write_text("image,abnormality,severity,x,y_from_top,radius_px,laterality\n")
    with pytest.raises(DatasetError, match=f"data set mias:{tmp_path} has no images"):
        list_images(DataSource.parse(f"mias:{tmp_path}"))
    for name in NAMES[1:]:
        with pytest.raises(DatasetError, match=f"{tmp_path / 'absent'}.*is missing"):
            list_images(DataSource.parse(f"{name}:{tmp_path / 'absent'}"))


# by patient


def patients(images: list[Listed]) -> set[str]:
    return {image.patient for image in images}


def test_a_split_divides_patients_not_images_and_cancers_alike():
    images = listed(240, per_patient=4)
    rest, part = split_patients(images, 0.25, 3)
    assert not patients(rest) & patients(part)
    assert sorted(rest + part, key=images.index) == images
    assert rest == [image for image in images if image in rest]
    assert (len(patients(rest)), len(patients(part))) == (45, 15)
    assert len({image.patient for image in part if image.malignant}) == 5
    again = split_patients(images[::-1], 0.25, 3)[1]
    assert patients(again) == patients(part)
    assert patients(split_patients(images, 0.25, 4)[1]) != patients(part)


@pytest.mark.parametrize("part", [0.01, 0.99])
def test_no_side_of_a_split_is_empty(part):
    rest, chosen = split_patients(listed(6, per_patient=2), part, 0)
    assert rest
    assert chosen


def test_folds_cover_all_patients_once():
    images = listed(69, per_patient=3)
    folds = patient_folds(images, 5, 1)
    assert len(folds) == 5
    assert Counter(image.image_id for _, own in folds for image in own) == Counter(image.image_id for image in images)
    for others, own in folds:
        assert not patients(others) & patients(own)
        assert len(others) + len(own) == len(images)
        assert len(patients(own)) in (4, 5)
        assert len({image.patient for image in own if image.malignant}) in (1, 2)
    assert patient_folds(images, 5, 1) == folds
    assert patient_folds(images, 5, 2) != folds


def test_too_few_patients_are_refused():
    one = listed(4, per_patient=4)
    with pytest.raises(DatasetError, match="1 patients cannot be divided in two"):
        split_patients(one, 0.5, 0)
    with pytest.raises(DatasetError, match="1 patients cannot be divided into 2 folds"):
        patient_folds(one, 2, 0)
    with pytest.raises(DatasetError, match="at least 2 folds"):
        patient_folds(listed(4), 1, 0)
    for part in (0, 1, -0.2):
        with pytest.raises(DatasetError, match="above 0 and below 1"):
            split_patients(listed(4), part, 0)


# at a glance


def test_a_survey_counts():
    images = [*listed(6, per_patient=2, laterality="L", view="CC", split="train"), *listed(2, malignant_every=1)]
    images[-1] = replace(images[-1], malignant=None, patient="q")
    counts = survey(images)
    assert (counts["images"], counts["patients"]) == (8, 4)
    assert counts["malignancy"] == {"malignant": 2, "not malignant": 5, "unknown": 1}
    assert counts["views"] == {"? ?": 2, "L CC": 6}
    assert list(counts["splits"]) == ["train"]
    assert counts["splits"]["train"]["malignancy"] == {"malignant": 1, "not malignant": 5, "unknown": 0}


def test_a_sheet_shows_lesions_where_they_are():
    page = np.asarray(picture_sheet(listed(1), 4, 0, height=240)).astype(int)
    outline = (page == (255, 92, 92)).all(axis=2)
    rows, columns = np.flatnonzero(outline.any(axis=1)), np.flatnonzero(outline.any(axis=0))
    mammogram, (lesion, _) = listed(1)[0].load()
    x0, y0, x1, y1 = mammogram.box_from_source(lesion.box)
    scale = 240 / mammogram.pixels.shape[0]
    corner = np.array([8, 34 + 8])
    np.testing.assert_allclose([columns[0], rows[0]], np.array([x0, y0]) * scale + corner, atol=4)
    np.testing.assert_allclose([columns[-1], rows[-1]], np.array([x1, y1]) * scale + corner, atol=4)
    same = picture_sheet(listed(9), 4, 5, height=120).tobytes()
    assert picture_sheet(listed(9), 4, 5, height=120).tobytes() == same
    assert picture_sheet(listed(9), 4, 6, height=120).tobytes() != same
