"""Compressed pixels: right ones are decoded to the last bit, damaged and hostile ones refused in words."""

import struct
import subprocess
import sys

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate_extended
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from support.codestreams import END, EXACT, SYNTAXES, codestream, compressed, cut, mutants, picture, with_codestream
from support.mammograms import dataset
from support.places import ROOT
from support.realdata import real_data

from ftmtl.errors import NotAnalysable
from ftmtl.mammogram.pixels import decode

LAST_WORDS = """
import sys
import pydicom
from ftmtl.errors import NotAnalysable
from ftmtl.mammogram.pixels import decode
for path in sys.argv[1:]:
    try:
        decode(pydicom.dcmread(path))
    except NotAnalysable as error:
        print(error)
"""


@pytest.fixture(params=SYNTAXES, ids=lambda syntax: syntax.keyword)
def image(request):
    return compressed(request.param)


def refused(ds, words="The pixels are damaged: "):
    with pytest.raises(NotAnalysable) as refusal:
        decode(ds)
    assert str(refusal.value).startswith(words)
    assert str(refusal.value).endswith(".")
    return str(refusal.value)


def test_every_transfer_syntax_is_read(image):
    stored, wanted = decode(image), picture()
    if image.file_meta.TransferSyntaxUID == JPEGBaseline8Bit:
        wanted = (wanted >> 4).astype("uint8")
    assert stored.dtype == wanted.dtype
    error = np.abs(stored.astype(int) - wanted).max()
    assert error == 0 if image.file_meta.TransferSyntaxUID in EXACT else error < 60


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_codestream_that_is_cut_short_is_refused(image, part):
    for ending in (b"", END):
        refused(with_codestream(image, cut(codestream(image), part, ending)))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("ending", [b"", END], ids=["open", "closed"])
def test_half_of_a_real_mammogram_is_refused(part, ending):
    ds = pydicom.dcmread(real_data("mg/GH133_ge_senographe_essential_RMLO_jpegll.dcm"))
    words = refused(with_codestream(ds, cut(codestream(ds), part, ending)))
    assert words == (
        "The pixels are damaged: the compressed image is cut short (transfer syntax JPEG Lossless, "
        "Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1]))."
    )


def test_a_real_mammogram_is_as_other_decoders_read_it():
    ds = pydicom.dcmread(real_data("mg/GH133_ge_senographe_essential_RMLO_jpegll.dcm"))
    stored = decode(ds)
    np.testing.assert_array_equal(stored, ds.pixel_array)
    assert stored.dtype == np.uint16


def test_only_the_end_marker_is_missing(image):
    if image.file_meta.TransferSyntaxUID == RLELossless:
        return  # it has none
    whole, data = decode(image), codestream(image).rstrip(b"\0").removesuffix(END)
    for padding in (b"", b"\0", b"\0\0\0"):
        np.testing.assert_array_equal(decode(with_codestream(image, data + padding)), whole)


def test_fragments_with_padding_behind_the_end(image):
    whole, data = decode(image), codestream(image)
    for fragments, padding in ((1, b"\0"), (2, b"\0\0"), (5, b"\0\0"), (1, b"\xff")):
        if image.file_meta.TransferSyntaxUID != RLELossless or padding != b"\xff":
            np.testing.assert_array_equal(decode(with_codestream(image, data + padding, fragments)), whole)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless], ids=lambda uid: uid.keyword)
def test_a_thumbnail_in_the_header_is_not_the_image(syntax):
    ds = compressed(syntax)
    whole, data, other = decode(ds), codestream(ds), codestream(compressed(JPEGBaseline8Bit))
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(other)) + other
    np.testing.assert_array_equal(decode(with_codestream(ds, data[:2] + thumbnail + data[2:])), whole)


def test_a_fragment_is_missing(image):
    data = codestream(image)
    half = len(data) // 2
    refused(with_codestream(image, data[: half - half // 4] + data[half:]))


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"\xff\x4f\xff\x51", b"not pixels"])
def test_what_is_no_codestream_at_all(image, data):
    refused(with_codestream(image, data or b"\0\0"))


def test_no_fragment(image):
    image.PixelData = b""
    refused(image)
    image.PixelData = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    refused(image)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.keyword)
def test_a_frame_header_of_another_size(syntax):
    ds = compressed(syntax)
    words = "the compressed image has 240 x 300 pixels of 1 samples, the header says {} x {} of 1."
    for columns, rows in ((300, 240), (240, 301), (120, 600)):
        assert refused(with_codestream(ds, codestream(ds), Rows=rows, Columns=columns)).endswith(
            words.format(columns, rows)
        )


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.keyword)
def test_a_frame_header_that_claims_the_largest_image_there_is(syntax):
    """Neither the codestream's claim nor the header's makes a decoder take memory for 65535 x 65535 pixels."""
    ds = compressed(syntax)
    data = codestream(ds)
    if syntax == JPEG2000Lossless:
        huge = data[:8] + struct.pack(">II", 65535, 65535) + data[16:]
    else:
        huge = data.replace(struct.pack(">HH", 300, 240), struct.pack(">HH", 65535, 65535), 1)
    assert "65535 x 65535" in refused(with_codestream(ds, huge))
    refused(with_codestream(ds, huge, Rows=65535, Columns=65535), "The image is 65535 x 65535 pixels")
    refused(with_codestream(ds, data, Rows=20_000, Columns=20_000), "The image is 20000 x 20000 pixels")


def test_more_bits_than_are_allocated():
    ds = compressed(JPEG2000Lossless)
    words = refused(with_codestream(ds, codestream(ds), BitsAllocated=8, BitsStored=8, HighBit=7))
    assert words == "The pixels are damaged: the compressed image has 16 bits, the header says 8."


def test_colours_where_the_header_says_grey():
    ds, grey = compressed(JPEGBaseline8Bit), (picture() >> 4).astype("uint8")
    words = refused(with_codestream(ds, imagecodecs.jpeg8_encode(np.dstack([grey] * 3))))
    assert "of 3 samples" in words


@pytest.mark.parametrize("declared", SYNTAXES, ids=lambda uid: uid.keyword)
def test_another_transfer_syntax_than_the_header_says(image, declared):
    """A codestream says itself what it is; RLE doesn't, and is refused under another name."""
    real = image.file_meta.TransferSyntaxUID
    if declared == real or JPEGBaseline8Bit in (declared, real):
        return
    whole = decode(image)
    image.file_meta.TransferSyntaxUID = declared
    if real == RLELossless:
        refused(image)
    else:
        np.testing.assert_array_equal(decode(image), whole)


def test_an_uncompressed_image_that_says_it_is_compressed(image):
    ds = dataset(picture())
    ds.file_meta.TransferSyntaxUID = image.file_meta.TransferSyntaxUID
    refused(ds)
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    refused(image)


def test_an_extended_offset_table():
    ds = compressed(JPEGLSLossless)
    whole, data = decode(ds), codestream(ds)
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended([data])
    np.testing.assert_array_equal(decode(ds), whole)
    ds.ExtendedOffsetTable = struct.pack("<Q", 2**40)
    refused(ds)


def test_mutants_are_decoded_or_refused(image):
    data = codestream(image)
    ends = set()
    for mutant in mutants(data, 40):
        try:
            assert decode(with_codestream(image, mutant)).shape == (300, 240)
            ends.add("decoded")
        except NotAnalysable:
            ends.add("refused")
    assert "refused" in ends


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1], ids=lambda uid: uid.keyword)
def test_one_changed_byte_does_not_end_the_process(syntax, tmp_path):
    """These made gdcm call std::terminate, or write where it must not."""
    ds = compressed(syntax)
    data = codestream(ds)
    frame = data.index(struct.pack(">HH", 300, 240)) - 1
    paths = []
    for place, value in [(2, 0x00), (5, 0x00), (11, 0xFF), (frame, 0x7F), (frame, 0x11)]:
        paths.append(str(tmp_path / f"{place} {value}.dcm"))
        mutant = with_codestream(ds, data[:place] + bytes([value]) + data[place + 1 :])
        mutant.save_as(paths[-1], enforce_file_format=True)
    done = subprocess.run(
        [sys.executable, "-c", LAST_WORDS, *paths], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) >= 3
