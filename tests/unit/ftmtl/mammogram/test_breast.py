"""Where the breast is, on films with letters, frames and bright lumps."""

import numpy as np
from support.mammograms import film
from support.realdata import real_data

from ftmtl.mammogram.breast import breast_region
from ftmtl.mammogram.load import from_array


def test_breast_region_of_digitised_films():
    import csv

    from PIL import Image

    with real_data("mias/labels.csv").open() as file:
        labels = [row for row in csv.DictReader(file) if row["x"] and row["radius_px"]]
    kept = []
    for row in labels[::4]:
        with Image.open(real_data(f"mias/png/{row['image']}.png")) as image:
            pixels = np.asarray(image.convert("L"), dtype=np.float32) / 255
        x0, y0, x1, y1 = breast_region(pixels)
        kept.append(x0 <= float(row["x"]) < x1 and y0 <= float(row["y_from_top"]) < y1)
        assert from_array(pixels, row["laterality"]).orientation.flip_columns == (row["laterality"] == "R")
    assert all(kept)


def test_one_bright_lump_does_not_hide_the_breast():
    """A calcified mass as bright as this one pulls a plain Otsu threshold above all other tissue."""
    from PIL import Image

    (path,) = real_data("cesm/images").glob("P99_R_DM_CC*")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"), dtype=np.float32) / 255
    x0, y0, x1, y1 = breast_region(pixels)
    assert x1 - x0 > 0.7 * pixels.shape[1]
    assert y1 - y0 > 0.8 * pixels.shape[0]
    assert from_array(pixels).orientation.flip_columns


def test_a_label_is_not_the_breast():
    image = film(1200, 960) / 4095
    image[30:150, 800:930] = 1
    assert breast_region(image)[2] < 700
