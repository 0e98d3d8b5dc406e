"""CBIS-DDSM as The Cancer Imaging Archive ships it: the real tables, and images of both downloads' layouts."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.publishers import contrast, drawn, film, pasted, save_dicom, truth
from support.realdata import real_data

from ftmtl.datasets.cbis_ddsm import read_cbis_ddsm, read_films
from ftmtl.errors import DatasetError
from ftmtl.findings import FindingType

MASSES = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,mass margins,"
    "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path\n"
)
CALCIFICATIONS = (
    "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,calc type,"
    "calc distribution,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path\n"
)


def line(folder: str, kind: str, shape: str, pathology: str, *, swapped: bool = False) -> str:
    """Return the row of an image's first abnormality, with the quirks of real rows.

    There is a line end inside the last path, and mask and crop may be exchanged.
    """
    patient, side, view = folder.split("_P_")[1].split("_")
    files = [f"{folder}_1/1.2/1.3/000000.dcm", f"{folder}_1/1.2/1.3/000001.dcm"]
    crop, mask = reversed(files) if swapped else files
    start = f"P_{patient},3,{side},{view},1,{kind},{shape},X,4,{pathology},4"
    return f'{start},{folder}/1.1/1.1/000000.dcm,{crop},"{mask}\n"\n'


RIGHT, LEFT, CALC = "Mass-Training_P_00001_RIGHT_MLO", "Mass-Test_P_00002_LEFT_CC", "Calc-Training_P_00001_RIGHT_MLO"


def write_tables(folder: Path) -> None:
    (folder / "mass_case_description_train_set.csv").write_text(
        MASSES + line(RIGHT, "mass", "IRREGULAR-ARCHITECTURAL_DISTORTION", "MALIGNANT")
    )
    (folder / "mass_case_description_test_set.csv").write_text(
        MASSES + line(LEFT, "mass", "FOCAL_ASYMMETRIC_DENSITY", "BENIGN_WITHOUT_CALLBACK", swapped=True) + "\r\n\r\n"
    )
    (folder / "calc_case_description_train_set.csv").write_text(
        CALCIFICATIONS + line(CALC, "calcification", "PLEOMORPHIC", "BENIGN")
    )
    (folder / "calc_case_description_test_set.csv").write_text(CALCIFICATIONS)


def write_images(folder: Path, layout: str, mask_series: str = "ROI mask images") -> None:
    """Two films and three masks: the right breast has a mass, outlined, and a calcification, a square."""
    classic = layout == "classic"
    whole = "1.1/1.1/000000.dcm" if classic else "07-20-2016-DDSM-30678/1.000000-full mammogram images-24515/1-1.dcm"
    pieces = ("1.2/1.3/000000.dcm", "1.2/1.3/000001.dcm")
    if not classic:
        pieces = ("07-20-2016-DDSM/1.0-cropped images-1/1-1.dcm", "07-20-2016-DDSM/1.0-ROI mask images-2/1-1.dcm")
    root = folder if classic else folder / "manifest-ZkhPvrLo5216730872708713142" / "CBIS-DDSM"
    square = np.zeros((240, 180), dtype=bool)
    square[100:120, 150:170] = True
    for name, phantom in ((RIGHT, drawn(31, "R", "MLO")), (LEFT, drawn(32, "L", "CC"))):
        save_dicom(root / name / whole, film(phantom.pixels * 15, "full mammogram images"))
        for number, (series, mask) in enumerate([(name, truth(phantom)), *([(CALC, square)] if name == RIGHT else [])]):
            crop = phantom.pixels[20 : 90 + number, 20:100]
            save_dicom(root / f"{series}_1" / pieces[0], film(crop, "cropped images"))
            save_dicom(root / f"{series}_1" / pieces[1], film(mask * 255, mask_series))


@pytest.fixture(params=["classic", "retriever"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    write_tables(tmp_path)
    write_images(tmp_path, request.param)
    return tmp_path


def test_one_image_holds_the_abnormalities_of_both_tables(folder):
    images = read_cbis_ddsm(folder)
    assert [(i.image_id, i.patient, i.laterality, i.view, i.split, i.malignant) for i in images] == [
        ("P_00001_R_MLO", "P_00001", "R", "MLO", "train", True),
        ("P_00002_L_CC", "P_00002", "L", "CC", "test", False),
    ]
    _, masks, lesions = pasted(images[0])
    np.testing.assert_array_equal(masks[0], truth(drawn(31, "R", "MLO")))
    assert lesions[0].box == drawn(31, "R", "MLO").lesions[0].box
    assert lesions[1].box == (150, 100, 170, 120)
    kinds = [(lesion.type, lesion.malignant) for lesion in lesions]
    assert kinds == [(FindingType.MASS, True), (FindingType.CALCIFICATION, False)]
    _, (mask,), (lesion,) = pasted(images[1])
    np.testing.assert_array_equal(mask, truth(drawn(32, "L", "CC")))
    assert (lesion.type, lesion.malignant) == (FindingType.ASYMMETRY, False)
    assert min(contrast(images[0]), contrast(images[1])) > 0.05


def test_side_and_view_come_from_the_table_where_the_header_is_silent(folder):
    mammogram, _ = read_cbis_ddsm(folder)[0].load()
    assert (mammogram.acquisition.laterality, mammogram.acquisition.view) == ("R", "MLO")
    assert mammogram.orientation.flip_columns


def mask_path(folder: Path) -> Path:
    return next(path for path in sorted(folder.rglob(f"{RIGHT}_1/**/*1.dcm")) if "cropped" not in str(path))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((240, 180)), "the mask is empty"),
        (np.full((120, 90), 255), "the mask is .120, 90., the image"),
    ],
)
def test_an_odd_mask_is_named(folder, pixels, message):
    save_dicom(mask_path(folder), film(pixels, "ROI mask images"))
    with pytest.raises(DatasetError, match=f"{RIGHT}_1.*{message}"):
        read_cbis_ddsm(folder)[0].load()


def test_a_mask_that_nothing_tells_from_the_crop_is_named(folder):
    save_dicom(mask_path(folder), film(np.full((120, 90), 255), "images"))
    with pytest.raises(DatasetError, match=f"{RIGHT}_1.*none of 2 files is clearly the mask"):
        read_cbis_ddsm(folder)[0].load()


def test_a_crop_as_large_as_the_film_is_told_by_its_description(folder):
    crop = next(p for p in sorted(folder.rglob(f"{RIGHT}_1/**/*.dcm")) if p != mask_path(folder))
    save_dicom(crop, film(drawn(31, "R", "MLO").pixels, "cropped images"))
    _, masks, _ = pasted(read_cbis_ddsm(folder)[0])
    np.testing.assert_array_equal(masks[0], truth(drawn(31, "R", "MLO")))


def test_damaged_files_are_named(folder):
    path = mask_path(folder)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(DatasetError, match=f"{RIGHT}_1"):
        read_cbis_ddsm(folder)[0].load()
    path.write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=f"{RIGHT}_1.*is not DICOM, or is damaged"):
        read_cbis_ddsm(folder)[0].load()


def test_missing_folders_are_named(folder, caplog):
    shutil.rmtree(next(folder.rglob(LEFT)))
    with pytest.raises(DatasetError, match=f"{LEFT} is missing"):
        read_cbis_ddsm(folder)
    with caplog.at_level(logging.WARNING):
        assert [image.patient for image in read_cbis_ddsm(folder, faults="skip")] == ["P_00001"]
    assert LEFT in caplog.text


def test_two_whole_images_in_a_folder_are_refused(folder):
    path = next(folder.rglob(f"{LEFT}/**/*.dcm"))
    shutil.copy(path, path.with_name("other.dcm"))
    with pytest.raises(DatasetError, match="hold 2 images"):
        read_cbis_ddsm(folder)


@pytest.mark.parametrize(("old", "new"), [("pathology", "diagnosis"), ("MALIGNANT", "MALIGN"), ("RIGHT,", "BOTH,")])
def test_a_wrong_table_is_refused(tmp_path, old, new):
    write_tables(tmp_path)
    table = tmp_path / "mass_case_description_train_set.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=r"mass_case_description_train_set\.csv"):
        read_films(tmp_path)
    table.unlink()
    with pytest.raises(DatasetError, match=r"mass_case_description_train_set\.csv is missing"):
        read_films(tmp_path)


def rows_of(kind: str, split: str) -> list[list[str]]:
    """The rows of a real table, by its lines: a row begins with a patient, whatever else the line ends do."""
    text = real_data(f"cbis/{kind}_case_description_{split}_set.csv").read_text()
    return [line.split(",") for line in text.splitlines() if line.startswith("P_")]


def test_the_real_tables():
    films = read_films(real_data("cbis"))
    counts = {(kind, split): len(rows_of(kind, split)) for kind in ("mass", "calc") for split in ("train", "test")}
    assert counts == {("mass", "train"): 1318, ("mass", "test"): 370, ("calc", "train"): 1546, ("calc", "test"): 326}
    rows = [(split, row) for kind, split in counts for row in rows_of(kind, split)]
    assert sum(len(film.abnormalities) for film in films) == len(rows) == 3560
    pictures = {(row[0], row[2], row[3]) for _, row in rows}
    assert len(films) == len({(film.patient, film.laterality, film.view) for film in films}) == len(pictures) == 3026
    assert len({film.patient for film in films}) == len({row[0] for _, row in rows}) == 1565
    malignant = sum(row[9] == "MALIGNANT" for _, row in rows)
    assert sum(each.malignant for film in films for each in film.abnormalities) == malignant == 1455
    kinds = Counter(each.type for film in films for each in film.abnormalities)
    assert kinds == {
        FindingType.CALCIFICATION: 1546 + 326,
        FindingType.MASS: 1318 + 370 - 103 - 50,
        FindingType.DISTORTION: 80 + 23,
        FindingType.ASYMMETRY: 20 + 19 + 5 + 6,
    }


def test_no_patient_of_the_real_tables_is_in_both_parts():
    films = read_films(real_data("cbis"))
    parts = {split: {film.patient for film in films if film.split == split} for split in ("train", "test")}
    published = {split: {row[0] for kind in ("mass", "calc") for row in rows_of(kind, split)} for split in parts}
    assert len(published["train"] & published["test"]) == 31
    assert not parts["train"] & parts["test"]
    assert parts["test"] == published["test"]
    names = [each.folder for film in films for each in film.abnormalities]
    assert len(set(names)) == len(names)
    assert all(name.rsplit("_", 1)[0] in film.folders for film in films for name in [film.abnormalities[0].folder])


def test_a_real_film_reads(tmp_path):
    """The two real films at hand, in the classic layout, with a mask made here."""
    write_tables(tmp_path)
    name = "Mass-Test_P_00173_LEFT_CC"
    table = tmp_path / "mass_case_description_test_set.csv"
    table.write_text(MASSES + line(name, "mass", "LOBULATED", "BENIGN"))
    (tmp_path / name / "1.1").mkdir(parents=True)
    (tmp_path / name / "1.1" / "000000.dcm").symlink_to(real_data("mg/cbis_P_00173_LEFT_CC.dcm"))
    mask = np.zeros((4432, 2864), dtype=bool)
    mask[2000:2100, 600:680] = True
    save_dicom(tmp_path / f"{name}_1" / "1.2" / "000001.dcm", film(mask * 255, "ROI mask images"))
    (image,) = (image for image in read_cbis_ddsm(tmp_path, faults="skip") if image.patient == "P_00173")
    mammogram, (lesion,) = image.load()
    assert lesion.box == (600, 2000, 680, 2100)
    assert (mammogram.acquisition.laterality, mammogram.acquisition.view) == ("L", "CC")
