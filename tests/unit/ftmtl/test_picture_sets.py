"""VinDr-Mammo, CDD-CESM and MIAS: boxes, pieces of masks and circles; the last two on their real images as well."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.publishers import contrast, drawn, pasted, save_grey, save_phantom, save_table, truth
from support.realdata import real_data

from ftmtl.datasets.annotated import AnnotatedImage
from ftmtl.datasets.cdd_cesm import BAND_FILL, SPECK_PX, read_cdd_cesm
from ftmtl.datasets.mias import read_mias
from ftmtl.datasets.sample import to_sample
from ftmtl.datasets.vindr_mammo import read_vindr_mammo
from ftmtl.errors import DatasetError
from ftmtl.findings import FindingType

# VinDr-Mammo

EMPTY = {"finding_birads": "", "xmin": "", "ymin": "", "xmax": "", "ymax": ""}


def vindr_row(image: str, study: str, side: str, view: str, split: str) -> dict[str, object]:
    row = {"study_id": study, "series_id": "s", "image_id": image, "laterality": side, "view_position": view}
    size = {"height": 240, "width": 180, "breast_birads": "BI-RADS 4", "breast_density": "DENSITY C"}
    return {**row, **size, "split": split}


def vindr_finding(row: dict[str, object], categories: str, birads: str, box: tuple[float, ...]) -> dict[str, object]:
    edges = dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    start = {key: value for key, value in row.items() if key != "split"}
    return {**start, "finding_categories": categories, "finding_birads": birads, **edges, "split": row["split"]}


@pytest.fixture
def vindr(tmp_path: Path) -> Path:
    """A suspicious right breast with two lesions, a left one with a thick skin only, a normal one."""
    rows = [
        vindr_row("r", "e1", "R", "MLO", "training"),
        vindr_row("l", "e1", "L", "CC", "training"),
        vindr_row("n", "e2", "L", "MLO", "test"),
    ]
    phantom = drawn(31, "R", "MLO")
    box = tuple(edge + 0.25 for edge in phantom.lesions[0].box)
    findings = [
        vindr_finding(rows[0], "['Mass', 'Suspicious Calcification']", "BI-RADS 4", box),
        vindr_finding(rows[0], "['Skin Retraction', 'Global Asymmetry']", "BI-RADS 3", (-3.5, 20, 30, 50)),
        vindr_finding(rows[1], "['Skin Thickening', 'Nipple Retraction']", "BI-RADS 5", (10, 20, 30, 50)),
        {**vindr_finding(rows[2], "['No Finding']", "", (0, 0, 0, 0)), **EMPTY},
    ]
    save_table(tmp_path / "breast-level_annotations.csv", rows)
    save_table(tmp_path / "finding_annotations.csv", findings)
    pictures = {"r": phantom, "l": drawn(32, "L", "CC"), "n": drawn(33, "L", "MLO", lesions=())}
    for row in rows:
        save_phantom(tmp_path / "images" / str(row["study_id"]) / f"{row['image_id']}.dicom", pictures[row["image_id"]])
    return tmp_path


def test_vindr_boxes_kinds_and_suspicion(vindr):
    images = read_vindr_mammo(vindr)
    assert [(i.image_id, i.patient, i.laterality, i.view, i.split, i.malignant) for i in images] == [
        ("r", "e1", "R", "MLO", "train", True),
        ("l", "e1", "L", "CC", "train", True),
        ("n", "e2", "L", "MLO", "test", False),
    ]
    _, masks, (mass, asymmetry) = pasted(images[0])
    assert masks == []
    assert mass.box == tuple(edge + 0.25 for edge in drawn(31, "R", "MLO").lesions[0].box)
    assert (mass.type, mass.malignant) == (FindingType.MASS, True)
    assert asymmetry.box == (0, 20, 30, 50)
    assert (asymmetry.type, asymmetry.malignant) == (FindingType.ASYMMETRY, False)
    assert [len(image.load()[1]) for image in images] == [2, 0, 0]
    assert contrast(images[0]) > 0.03
    assert not to_sample(images[0]).outlined.any()


def test_vindr_names_what_is_wrong(vindr, caplog):
    path = vindr / "images" / "e1" / "r.dicom"
    save_phantom(path, drawn(31, "R", "MLO"))
    table = vindr / "breast-level_annotations.csv"
    table.write_text(table.read_text().replace("R,MLO,240", "R,MLO,250"))
    with pytest.raises(DatasetError, match=r"r\.dicom is 180 x 240 pixels, the table says 180 x 250"):
        read_vindr_mammo(vindr)[0].load()
    path.unlink()
    with pytest.raises(DatasetError, match=r"r\.dicom is missing"):
        read_vindr_mammo(vindr)
    with caplog.at_level(logging.WARNING):
        assert [image.image_id for image in read_vindr_mammo(vindr, faults="skip")] == ["l", "n"]
    assert "r.dicom is missing" in caplog.text


@pytest.mark.parametrize(
    ("old", "new"),
    [("finding_birads", "birads"), ("20,30,50", "x,30,50"), ("20,30,50", "nan,30,50"), ("['Mass', ", "[Mass, ")],
)
def test_a_wrong_vindr_table_is_refused(vindr, old, new):
    table = vindr / "finding_annotations.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=r"finding_annotations\.csv"):
        read_vindr_mammo(vindr)


def test_a_vindr_finding_beside_its_image_is_refused(vindr):
    table = vindr / "finding_annotations.csv"
    table.write_text(table.read_text().replace("-3.5,20,30,50", "500,20,530,50"))
    with pytest.raises(DatasetError, match=r"r\.dicom: the finding .* lies outside"):
        read_vindr_mammo(vindr)[0].load()


# CDD-CESM

CESM = {"id": "", "patient": "", "side": "R", "type_DM=low-energy_CM=subtracted": "DM", "view": "MLO", "label": ""}


@pytest.fixture
def cesm(tmp_path: Path) -> Path:
    """A malignant right breast with two lesions, a speck and thick skin; a normal one, subtracted."""
    phantom = drawn(31, "R", "MLO")
    rows = [
        {**CESM, "id": "P1_R_DM_MLO", "patient": "1", "label": "malignant"},
        {**CESM, "id": "P2_R_CM_MLO", "patient": "2", "label": "normal", "type_DM=low-energy_CM=subtracted": "CM"},
    ]
    save_table(tmp_path / "index.csv", rows)
    mask = truth(phantom) * 192
    mask[5:15, 100:130] = 64
    mask[20:23, 20:25] = 255
    mask[150:230, 60], mask[229, 60:150] = 255, 255
    for row in rows:
        save_grey(tmp_path / "images" / f"{row['id']}.png", phantom.pixels / 16)
    save_grey(tmp_path / "masks" / "P1_R_DM_MLO.png", mask)
    return tmp_path


def test_cesm_pieces_of_a_mask_are_lesions(cesm):
    malignant, normal = read_cdd_cesm(cesm)
    _, masks, lesions = pasted(malignant)
    np.testing.assert_array_equal(masks[1], truth(drawn(31, "R", "MLO")))
    assert [lesion.box for lesion in lesions] == [(100, 5, 130, 15), drawn(31, "R", "MLO").lesions[0].box]
    assert {(lesion.type, lesion.malignant) for lesion in lesions} == {(FindingType.LESION, True)}
    assert contrast(malignant, 1) > 0.05
    assert (normal.malignant, normal.load()[1]) == (False, ())
    assert [image.kind for image in read_cdd_cesm(cesm, kinds=("CM",))] == ["CM"]
    with pytest.raises(DatasetError, match="not 'XX'"):
        read_cdd_cesm(cesm, kinds=("XX",))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [(np.zeros((240, 180)), "the mask is empty"), (np.ones((240, 181)), "the mask is .240, 181., the image")],
)
def test_an_odd_cesm_mask_is_named(cesm, pixels, message):
    save_grey(cesm / "masks" / "P1_R_DM_MLO.png", pixels)
    with pytest.raises(DatasetError, match=rf"P1_R_DM_MLO\.png: {message}"):
        read_cdd_cesm(cesm)[0].load()


def test_cesm_files_missing_or_damaged_are_named(cesm, caplog):
    path = cesm / "images" / "P1_R_DM_MLO.png"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DatasetError, match=r"images/P1_R_DM_MLO\.png cannot be read"):
        read_cdd_cesm(cesm)[0].load()
    path.unlink()
    with pytest.raises(DatasetError, match=r"images/P1_R_DM_MLO\.png is missing"):
        read_cdd_cesm(cesm)
    with caplog.at_level(logging.WARNING):
        assert len(read_cdd_cesm(cesm, faults="skip")) == 1
    assert "P1_R_DM_MLO.png is missing" in caplog.text
    save_table(cesm / "index.csv", [{**CESM, "label": "benign?"}])
    with pytest.raises(DatasetError, match="label 'benign\\?'"):
        read_cdd_cesm(cesm)


def test_the_real_cesm_images():
    images = read_cdd_cesm(real_data("cesm"))
    rows = list(csv.DictReader(real_data("cesm/index.csv").read_text().splitlines()))
    labels = [{"malignant": True, "benign": False}.get(row["label"]) for row in rows]
    assert [image.malignant for image in images] == labels
    assert [labels.count(state) for state in (True, False, None)] == [10, 14, 107]
    assert len({image.patient for image in images}) == 107
    assert len(read_cdd_cesm(real_data("cesm"), kinds=("DM",))) == 72
    found = {}
    for image in images:
        mammogram, lesions = image.load()
        assert mammogram.orientation.flip_columns == (image.laterality == "R")
        assert all(mammogram.box_from_source(lesion.box)[0] > -8 for lesion in lesions)
        assert all(lesion.mask.area_px >= SPECK_PX for lesion in lesions)
        assert all(lesion.mask.pixels.mean() >= BAND_FILL for lesion in lesions)
        found[image.image_id] = len(lesions)
    assert sum(found.values()) == 230
    assert [name for name, count in found.items() if not count] == ["P139_R_DM_MLO"]


# MIAS

MIAS_HEADER = "image,tissue,abnormality,severity,x,y_from_bottom,y_from_top,radius_px,laterality\n"


@pytest.fixture
def mias(tmp_path: Path) -> Path:
    """A right breast with two circles, its normal other side, and one with a lesion of unknown place."""
    x0, y0, x1, y1 = drawn(31, "R", "MLO").lesions[0].box
    x, y = round((x0 + x1) / 2), round((y0 + y1) / 2)
    lesion = f"mdb005,F,SPIC,M,{x},{239 - y},{y},12,R\nmdb005,F,CALC,B,150,120,120,5,R\n"
    rest = "mdb006,F,NORM,,,,,,L\nmdb059,F,CIRC,B,,,,,R\nmdb212,G,CALC,B,687,882,141,3,L\n"
    (tmp_path / "labels.csv").write_text(MIAS_HEADER + lesion + rest)
    save_grey(tmp_path / "png" / "mdb005.png", drawn(31, "R", "MLO").pixels / 16)
    save_grey(tmp_path / "png" / "mdb006.png", drawn(32, "L", "MLO").pixels / 16)
    return tmp_path


def test_mias_circles(mias, caplog):
    with caplog.at_level(logging.INFO):
        images = read_mias(mias)
    assert [(i.image_id, i.patient, i.laterality, i.view, i.malignant, i.classes) for i in images] == [
        ("mdb005", "3", "R", "MLO", True, ("SPIC", "CALC")),
        ("mdb006", "3", "L", "MLO", False, ()),
    ]
    assert "mdb059, mdb212" in caplog.text
    mammogram, lesions = images[0].load()
    assert lesions[1].box == (145, 115, 155, 125)
    kinds = [(lesion.type, lesion.malignant, lesion.mask) for lesion in lesions]
    assert kinds == [(FindingType.MASS, True, None), (FindingType.CALCIFICATION, False, None)]
    assert mammogram.spacing_mm == (0.2, 0.2)
    assert contrast(images[0]) > 0.03


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SPIC,M", "STAR,M", "class 'STAR'"),
        ("SPIC,M", "SPIC,X", "severity 'X'"),
        ("radius_px", "radius", "no column 'radius_px'"),
        (",120,5,R", ",120,five,R", "'five' is not a number"),
        ("mdb005", "mdbooo", "'ooo' is not a number"),
        ("mdb006,F,NORM,,,,,,L", "mdb006,F,NORM", "too short"),
    ],
)
def test_a_wrong_mias_table_is_refused(mias, old, new, message):
    table = mias / "labels.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=message):
        read_mias(mias)


def test_mias_pictures_missing_damaged_or_too_small_are_named(mias):
    path = mias / "png" / "mdb005.png"
    Image.open(path).crop((0, 0, 100, 240)).save(path)
    with pytest.raises(DatasetError, match=r"mdb005\.png: the lesion .* lies outside"):
        read_mias(mias)[0].load()
    save_grey(path, np.zeros((240, 180)))
    with pytest.raises(DatasetError, match=r"mdb005\.png: No breast was found"):
        read_mias(mias)[0].load()
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"mdb005\.png cannot be read"):
        read_mias(mias)[0].load()
    path.unlink()
    assert [image.image_id for image in read_mias(mias, faults="skip")] == ["mdb006"]


def inside(image: AnnotatedImage) -> bool:
    mammogram, lesions = image.load()
    size = (mammogram.columns, mammogram.rows) * 2
    return all(0 <= edge <= limit for lesion in lesions for edge, limit in zip(lesion.box, size, strict=True))


def test_the_real_mias_images():
    images = read_mias(real_data("mias"))
    rows = list(csv.DictReader(real_data("mias/labels.csv").read_text().splitlines()))
    left_out = {"mdb059", "mdb212", "mdb214", "mdb216", "mdb233"}
    assert {row["image"] for row in rows} - {image.image_id for image in images} == left_out
    assert len(images) == 219
    kept = [row for row in rows if row["abnormality"] != "NORM" and row["image"] not in left_out]
    assert sorted(name for image in images for name in image.classes) == sorted(row["abnormality"] for row in kept)
    assert sum(image.malignant for image in images) == len({row["image"] for row in kept if row["severity"] == "M"})
    with_lesions = [image for image in images if image.boxes]
    assert all(inside(image) for image in with_lesions)
    samples = [to_sample(image) for image in with_lesions[::4]]
    assert all(len(s.masks) == len(i.boxes) for s, i in zip(samples, with_lesions[::4], strict=True))
    assert np.mean([s.pixels[mask].mean() > 0.1 for s in samples for mask in s.masks]) == 1
