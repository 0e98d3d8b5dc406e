"""INbreast as its publishers ship it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from support.publishers import contrast, drawn, pasted, save_outlines, save_phantom, save_table, truth

from ftmtl.datasets.inbreast import Outline, chosen_outlines, read_inbreast, read_outlines
from ftmtl.errors import DatasetError
from ftmtl.findings import FindingType

RIGHT, LEFT, NORMAL = "20586908", "20586934", "20587054"


def row(name: str, side: str, view: str, birads: str) -> dict[str, object]:
    return {
        "Patient ID": "removed",
        "Patient age": "removed",
        "Laterality": side,
        "View": view,
        "Acquisition date": "201001",
        "File Name": name,
        "ACR": "2 ",
        "Bi-Rads": birads,
    }


def corners(mask: np.ndarray) -> list[tuple[float, float]]:
    """Walk once around a mask: down along the first column of each row, up along the last."""
    rows = np.flatnonzero(mask.any(axis=1))
    left = [(float(np.flatnonzero(mask[y])[0]), float(y)) for y in rows]
    right = [(float(np.flatnonzero(mask[y])[-1]), float(y)) for y in rows[::-1]]
    return [*left, *right]


def square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of two patients: a malignant right breast, a benign left one, a normal one."""
    right, left = drawn(31, "R", "MLO"), drawn(32, "L", "CC")
    normal = drawn(33, "L", "MLO", lesions=())
    save_phantom(tmp_path / "AllDICOMs" / f"{RIGHT}_6c613a14b80a8591_MG_R_ML_ANON.dcm", right)
    save_phantom(tmp_path / "AllDICOMs" / f"{LEFT}_6c613a14b80a8591_MG_L_CC_ANON.dcm", left)
    save_phantom(tmp_path / "AllDICOMs" / f"{NORMAL}_b6a4f750c6df4f90_MG_L_ML_ANON.dcm", normal)
    save_outlines(tmp_path / "AllXML" / f"{RIGHT}.xml", [("Mass", corners(truth(right))), ("Point 1", [(30, 30)])])
    save_outlines(tmp_path / "AllXML" / f"{LEFT}.xml", [("Assymetry", square(40, 90, 12)), ("Calcification", [(9, 9)])])
    rows = [row(RIGHT, "R", "MLO", "4a"), row(LEFT, "L", "CC", "2"), row(NORMAL, "L", "MLO", "1")]
    save_table(tmp_path / "INbreast.csv", rows, delimiter=";")
    return tmp_path


def test_lists_images_by_the_table_and_the_file_names(folder):
    images = read_inbreast(folder)
    assert [(i.image_id, i.patient, i.laterality, i.view, i.malignant, i.birads) for i in images] == [
        (RIGHT, "6c613a14b80a8591", "R", "MLO", True, "4a"),
        (LEFT, "6c613a14b80a8591", "L", "CC", False, "2"),
        (NORMAL, "b6a4f750c6df4f90", "L", "MLO", False, "1"),
    ]
    assert [len(image.load()[1]) for image in images] == [1, 1, 0]


def test_an_outline_of_a_right_breast_lies_where_it_was_drawn(folder):
    image = read_inbreast(folder)[0]
    phantom = drawn(31, "R", "MLO")
    _, (mask,), (lesion,) = pasted(image)
    expected = truth(phantom)
    filled = np.zeros_like(expected)  # the outline knows the first and last column of each row, not holes at the side
    for y in np.flatnonzero(expected.any(axis=1)):
        columns = np.flatnonzero(expected[y])
        filled[y, columns[0] : columns[-1] + 1] = True
    assert (mask ^ filled).sum() <= 0.03 * filled.sum()
    assert lesion.box == phantom.lesions[0].box
    assert (lesion.type, lesion.malignant) == (FindingType.MASS, True)
    assert contrast(image) > 0.05


def test_a_polygon_covers_its_corner_pixels(folder):
    _, (mask,), (lesion,) = pasted(read_inbreast(folder)[1])
    assert lesion.box == (40, 90, 53, 103)
    assert mask[90:103, 40:53].all()
    assert mask.sum() == 13 * 13
    assert (lesion.type, lesion.malignant) == (FindingType.ASYMMETRY, False)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Mass", FindingType.MASS),
        ("Calcifications", FindingType.CALCIFICATION),
        ("Cluster", FindingType.CALCIFICATION),
        ("Distortion", FindingType.DISTORTION),
        ("Asymmetry", FindingType.ASYMMETRY),
        ("Assymetry", FindingType.ASYMMETRY),
        ("Espiculated Region", FindingType.MASS),
        ("Spiculated region", FindingType.MASS),
        ("Unnamed", FindingType.LESION),
    ],
)
def test_names_in_all_spellings(name, kind):
    assert Outline(name, ()).type is kind


def test_what_is_a_lesion_of_its_own():
    def outline(name: str, x: float, side: float) -> Outline:
        return Outline(name, tuple(square(x, 0, side)))

    mass, cluster = outline("Mass", 0, 100), outline("Cluster", 500, 100)
    inside, alone = outline("Calcification", 550, 40), outline("Calcification", 900, 40)
    small, spicules = outline("Calcification", 1500, 10), outline("Espiculated Region", 50, 200)
    lonely = outline("Spiculated Region", 2000, 50)
    regions = [mass, cluster, inside, alone, small, spicules, lonely, Outline("Calcification", ((3, 3), (5, 5)))]
    assert chosen_outlines(regions, 0.07) == [mass, cluster, alone, lonely]


def test_missing_files_are_named(folder, caplog):
    (folder / "AllXML" / f"{LEFT}.xml").unlink()
    next(folder.glob(f"AllDICOMs/{RIGHT}*")).unlink()
    with pytest.raises(DatasetError, match=rf"{RIGHT}.* is missing"):
        read_inbreast(folder)
    with caplog.at_level(logging.WARNING):
        assert [image.image_id for image in read_inbreast(folder, faults="skip")] == [NORMAL]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert f"{LEFT}.xml is missing" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"<plist><dict>", b"not xml", b"<?xml version='1.0'?><plist><array/></plist>"]
)
def test_a_damaged_xml_file_is_named(folder, content):
    path = folder / "AllXML" / f"{LEFT}.xml"
    path.write_bytes(content)
    image = read_inbreast(folder)[1]
    with pytest.raises(DatasetError, match=f"{LEFT}.xml"):
        image.load()


@pytest.mark.parametrize("corner", ["7", "(a, b)", ""])
def test_a_damaged_corner_is_named(tmp_path, corner):
    path = save_outlines(tmp_path / "x.xml", [("Mass", square(1, 1, 5))])
    path.write_text(path.read_text().replace("(1.000000, 1.000000)", corner))
    with pytest.raises(DatasetError, match=r"x\.xml"):
        read_outlines(path)


def test_an_outline_outside_of_the_image_is_named(folder):
    save_outlines(folder / "AllXML" / f"{LEFT}.xml", [("Mass", square(4000, 4000, 50))])
    with pytest.raises(DatasetError, match=rf"{LEFT}.xml: the mask is empty"):
        read_inbreast(folder)[1].load()


@pytest.mark.parametrize("length", [0, 100, 40_000])
def test_a_damaged_image_is_named(folder, length):
    path = next(folder.glob(f"AllDICOMs/{RIGHT}*"))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DatasetError, match=RIGHT):
        read_inbreast(folder)[0].load()


def test_a_table_that_contradicts_the_files_is_refused(folder):
    table = folder / "INbreast.csv"
    table.write_text(table.read_text().replace(f"L;CC;201001;{LEFT}", f"R;CC;201001;{LEFT}"))
    with pytest.raises(DatasetError, match=f"image {LEFT} is of side R"):
        read_inbreast(folder)


@pytest.mark.parametrize(("old", "new"), [("Bi-Rads", "BIRADS"), (";2\r\n", ";7\r\n"), (";2\r\n", "\r\n")])
def test_a_wrong_table_is_refused(folder, old, new):
    table = folder / "INbreast.csv"
    table.write_bytes(table.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(DatasetError, match=r"INbreast\.csv"):
        read_inbreast(folder)


def test_the_fingerprint_follows_the_files(folder):
    before = read_inbreast(folder)[0].fingerprint
    assert read_inbreast(folder)[0].fingerprint == before
    save_outlines(folder / "AllXML" / f"{RIGHT}.xml", [("Mass", square(1, 1, 30))])
    assert read_inbreast(folder)[0].fingerprint != before
