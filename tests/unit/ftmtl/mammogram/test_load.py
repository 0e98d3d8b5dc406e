"""Whole files: real ones load, others are refused with a reason."""

from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian
from support.mammograms import changed, dataset, film
from support.realdata import edge_files, real_data

from ftmtl.errors import DecoderMissing, NotAnalysable
from ftmtl.header.acquisition import MG_FOR_PROCESSING
from ftmtl.header.suitability import MG_FOR_PRESENTATION, SECONDARY_CAPTURE
from ftmtl.mammogram.load import load_mammogram
from ftmtl.mammogram.pixels import LOSSY, decode


def test_big_endian_pixels_are_read_the_right_way(tmp_path):
    ds = dataset(film(), WindowCenter=2048, WindowWidth=4096)
    big = changed(ds)
    big.PixelData, big["PixelData"].VR = film().astype(">u2").tobytes(), "OW"
    big.file_meta = FileMetaDataset()
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    big.save_as(tmp_path / "big.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(load_mammogram(tmp_path / "big.dcm").pixels, load_mammogram(ds).pixels)


def test_real_files_load():
    gh = load_mammogram(real_data("mg/GH133_ge_senographe_essential_RMLO_jpegll.dcm"))
    assert (gh.rows, gh.columns) == (3062, 2394)
    assert gh.orientation.crop[2] == 2394, "the chest wall is at the right of the stored matrix"
    assert 1000 < gh.orientation.crop[0] < 1200, "the nipple is near column 1150"
    assert gh.spacing_mm == pytest.approx((0.0940909, 0.0940909))
    assert gh.pixels.dtype == np.float32
    assert 0 <= gh.pixels.min() <= gh.pixels.max() <= 1
    for name, nipple in (("cbis_P_00173_LEFT_CC.dcm", 1300), ("cbis_P_00173_LEFT_MLO.dcm", 1450)):
        mammogram = load_mammogram(real_data(f"mg/{name}"))
        x0, _, x1, _ = mammogram.orientation.crop
        assert x0 == 0
        assert nipple < x1 < 1700, "the letters on the film are left out"
        assert not mammogram.orientation.flip_columns
        assert mammogram.spacing_mm is None


def test_lossy_film_with_white_frame():
    ds = pydicom.dcmread(real_data("mg/MG1_J2KI.dcm"))
    with pytest.raises(NotAnalysable, match="modality RG"):
        load_mammogram(ds)
    ds.Modality = "MG"
    mammogram = load_mammogram(ds)
    assert LOSSY in mammogram.notes
    assert mammogram.orientation.crop[0] == 0
    assert 2000 < mammogram.orientation.crop[2] < 2400, "nipple at column 2050, letters at 2350"


@pytest.mark.parametrize(
    ("ds", "reason"),
    [
        (dataset(np.zeros((300, 240), "uint16")), "No breast"),
        (dataset(np.full((300, 240), 900, "uint16"), WindowCenter=900, WindowWidth=100), "No breast"),
        (dataset(np.random.default_rng(1).integers(0, 4095, (1500, 1200)).astype("uint16")), "No breast"),
        (dataset(film(), SOPClassUID=MG_FOR_PROCESSING), "For Processing"),
        (dataset(film(), SOPClassUID=SECONDARY_CAPTURE, Modality="OT"), "secondary capture"),
        (dataset(film(), NumberOfFrames=2), "2 frames"),
        (dataset(film(), SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0), "colour"),
        (dataset(film(), Rows=0), "240 x 0"),
        (dataset(film(), Rows=60_000), "60000"),
        (dataset(film(), Rows=301), "decoded.*Explicit VR Little Endian"),
        (dataset(film().astype("uint32"), 32), "16 bits"),
    ],
)
def test_refusals_say_why(ds, reason):
    with pytest.raises(NotAnalysable, match=reason) as refusal:
        load_mammogram(ds)
    assert str(refusal.value).endswith(".")


def test_no_pixel_data_and_not_dicom(tmp_path):
    ds = dataset(film())
    del ds.PixelData
    with pytest.raises(NotAnalysable, match="no pixel data"):
        load_mammogram(ds)
    (tmp_path / "text.dcm").write_text("not DICOM at all")
    with pytest.raises(NotAnalysable, match="not a DICOM file"):
        load_mammogram(tmp_path / "text.dcm")
    with pytest.raises(FileNotFoundError):
        load_mammogram(tmp_path / "absent.dcm")


def test_a_truncated_file_is_refused(tmp_path):
    ds = dataset(film(), WindowCenter=2048, WindowWidth=4096)
    ds.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    whole = (tmp_path / "whole.dcm").read_bytes()
    assert load_mammogram(tmp_path / "whole.dcm").rows == 300
    for size in (len(whole) - 1000, 700, 400, 200, 140):
        (tmp_path / "cut.dcm").write_bytes(whole[:size])
        with pytest.raises(NotAnalysable):
            load_mammogram(tmp_path / "cut.dcm")


def test_twelve_bit_jpeg_extended_is_read():
    """Two files of one image, of which one has long been refused by the decoders that pydicom knows."""
    one, other = (decode(pydicom.dcmread(get_testdata_file(name))) for name in ("JPEG-lossy.dcm", "JPGExtended.dcm"))
    assert (one.shape, one.dtype, int(one.max())) == ((1024, 256), np.uint16, 264)
    np.testing.assert_array_equal(one, other)


def test_a_missing_decoder_is_not_the_images_fault(monkeypatch):
    ds = pydicom.dcmread(get_testdata_file("JPEG-lossy.dcm"))
    ds.SOPClassUID, ds.Modality = MG_FOR_PRESENTATION, "MG"
    decoder = SimpleNamespace(is_available=False, is_native=False)
    monkeypatch.setattr("ftmtl.decoding.pixels.get_decoder", lambda uid: decoder)
    monkeypatch.setattr("ftmtl.decoding.pixels.is_available", lambda uid: False)
    with pytest.raises(DecoderMissing, match=r"no decoder for JPEG Extended .* pip install 'ftmtl-node\[worker\]'"):
        load_mammogram(ds)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_edge_files_load_or_say_why():
    assert edge_files()
    for path in edge_files():
        with pytest.raises(NotAnalysable) as refusal:
            load_mammogram(path)
        assert str(refusal.value)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_edge_pixels_load_or_say_why():
    """Call every edge file a mammogram, so that its pixels go through the whole chain."""
    decoded = set()
    for path in edge_files():
        ds = pydicom.dcmread(path, force=True)
        ds.SOPClassUID, ds.Modality = MG_FOR_PRESENTATION, "MG"
        with suppress(NotAnalysable):
            decode(ds)
            decoded.add(path.name)
        with suppress(NotAnalysable):
            assert np.isfinite(load_mammogram(ds).pixels).all()
    assert {"RG3_J2KR.dcm", "MR2_J2KI.dcm", "693_J2KR.dcm"} <= decoded


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("name", ["RG3_J2KR.dcm", "MR2_J2KI.dcm", "mlut_18.dcm", "explicit_VR-UN.dcm"])
def test_radiographs_and_slices_that_claim_to_be_mammograms_are_refused(name):
    (path,) = (path for path in edge_files() if path.name == name)
    ds = pydicom.dcmread(path, force=True)
    ds.SOPClassUID, ds.Modality = MG_FOR_PRESENTATION, "MG"
    with pytest.raises(NotAnalysable):
        load_mammogram(ds)
