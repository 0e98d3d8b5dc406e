"""Files that are no files, and files that are made to hurt whoever reads them."""

import os
import resource
import socket
import struct
import subprocess
import sys
import zlib

import pytest
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian
from support.mammograms import dataset, film
from support.places import ROOT

from ftmtl.decoding.files import DamagedFile, read
from ftmtl.errors import NotAnalysable
from ftmtl.mammogram.load import load_mammogram

SEQUENCE = struct.pack("<HH2sHL", 0x0040, 0x0555, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
    "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
)


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.dcm"
    dataset(film(), SOPInstanceUID="1.2.3", WindowCenter=2048, WindowWidth=4096).save_as(path, enforce_file_format=True)
    return path


def head_of(path):
    """Return preamble and File Meta Information, and the data set."""
    data = path.read_bytes()
    end = 144 + struct.unpack_from("<L", data, 140)[0]
    return data[:end], data[end:]


def deflated(path, tmp_path, data_set):
    """Write a deflated copy of a file with another data set, which is already deflated."""
    ds = read(path)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(tmp_path / "deflated.dcm")
    (tmp_path / "deflated.dcm").write_bytes(head_of(tmp_path / "deflated.dcm")[0] + data_set)
    return tmp_path / "deflated.dcm"


def deflate(data, zeros=0):
    """Deflate data, and behind them so many times 16 MiB of zeros."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    data = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return data + zeros * block + packer.flush()


def test_a_deflated_file_is_read_as_any_other(whole, tmp_path):
    ds = read(deflated(whole, tmp_path, deflate(head_of(whole)[1])))
    assert ds == read(whole)
    assert ds.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert load_mammogram(tmp_path / "deflated.dcm").rows == 300


def test_a_deflated_file_that_inflates_to_gigabytes(whole, tmp_path):
    data_set = head_of(whole)[1]
    claim = data_set[: -film().nbytes - 4] + struct.pack("<L", 0xFFFFFFF0)
    bomb = deflated(whole, tmp_path, deflate(claim, zeros=256))
    assert bomb.stat().st_size < 5_000_000
    script = (
        "import sys; from pathlib import Path; from ftmtl.header.acquisition import read_header;"
        "from ftmtl.mammogram.load import load_mammogram\n"
        "print(read_header(Path(sys.argv[1])).sop_instance_uid)\n"
        "try: load_mammogram(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(int(status['VmHWM'].split()[0]) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(bomb)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    uid, refusal, megabytes = done.stdout.splitlines()
    assert (uid, refusal) == ("1.2.3", "NotAnalysable This DICOM file inflates to more than 256 MiB.")
    assert int(megabytes) < 1000


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_broken_deflation(whole, tmp_path, part):
    data = deflate(head_of(whole)[1])
    cut = data[: int(part * len(data))]
    for broken in (cut, cut + b"\xff" * 100, b"\xff\xff\xff"):
        with pytest.raises(NotAnalysable):
            load_mammogram(deflated(whole, tmp_path, broken))


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "fifo", tmp_path / "socket", tmp_path):
            with pytest.raises(DamagedFile, match="not a regular file"):
                read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")
    (tmp_path / "text").write_text("no DICOM")
    with pytest.raises(InvalidDicomError):
        read(tmp_path / "text")


HOSTILE = {
    "sequences without end": SEQUENCE * 20_000,
    "no VR": struct.pack("<HH2sHL", 0x0010, 0x0010, b"??", 0, 8) + b"GRETEL^A",
    "an unknown VR": struct.pack("<HH2sH", 0x0010, 0x0010, b"QQ", 8) + b"GRETEL^A",
    "an absurd length": struct.pack("<HH2sHL", 0x0010, 0x0010, b"UN", 0, 0xFFFFFFF0) + b"GRETEL^A",
    "a private sequence that never ends": struct.pack("<HH2sHL", 0x0011, 0x1010, b"SQ", 0, 0xFFFFFFFF) + b"\xff" * 90,
}


@pytest.mark.parametrize("elements", HOSTILE.values(), ids=HOSTILE)
def test_hostile_elements_cost_a_sentence(whole, tmp_path, elements):
    head, _ = head_of(whole)
    (tmp_path / "hostile.dcm").write_bytes(head + elements)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NotAnalysable) as refusal:
        load_mammogram(tmp_path / "hostile.dcm")
    assert "GRETEL" not in str(refusal.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "KiB"
