"""``ftmtl analyze`` on folders in which something is wrong: the rest is analysed, and the summary says all of it."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLosslessSV1
from support.analyses import analyse_folder
from support.codestreams import codestream, compressed, cut, with_codestream
from support.peers import BIN

from ftmtl.phantom.dicom import write_study
from node.kinds import ObjectKind

NAME = "GRETEL^SECRET"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "ftmtl"), "analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def summary(out: Path) -> dict[str, dict[str, str]]:
    return json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic study of two views."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, 211, spacing_mm=0.4, views=[("L", "CC"), ("L", "MLO")])
    return folder


def recompressed(source: Path, path: Path, **values: str) -> Dataset:
    """Compress an image as JPEG Lossless, give it other values, and write it."""
    ds = dcmread(source)
    packed = compressed(JPEGLosslessSV1, ds.pixel_array)
    ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds = with_codestream(ds, codestream(packed))
    ds.save_as(path)
    return ds


def test_a_view_that_cannot_be_decoded_is_named_in_the_studys_line(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "in"
    given.mkdir()
    (given / "L_CC.dcm").write_bytes((study / "L_CC.dcm").read_bytes())
    ds = recompressed(study / "L_MLO.dcm", given / "L_MLO.dcm")
    assert analyse_folder(given, tmp_path / "whole", monkeypatch)[0] == 0
    with_codestream(ds, cut(codestream(ds), 0.5)).save_as(given / "L_MLO.dcm")
    capsys.readouterr()
    status, document = analyse_folder(given, tmp_path / "out", monkeypatch)
    assert status == 3
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("[1/1]"))
    assert "; L MLO not analysed: The pixels are damaged: the compressed image is cut short" in line
    (told,) = document["studies"]
    assert [image["outcome"] for image in told["images"]].count("not_processed") == 1


def test_whatever_a_file_does_the_others_are_analysed(study: Path, tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    for path in study.iterdir():
        (given / path.name).write_bytes(path.read_bytes())
    whole = (study / "L_CC.dcm").read_bytes()
    end = 144 + struct.unpack_from("<L", whole, 140)[0]
    head, data_set = whole[:end], whole[end:]
    ds = recompressed(study / "L_CC.dcm", given / "a killer.dcm", SOPInstanceUID="2.25.7", StudyInstanceUID="2.25.70")
    data = codestream(ds)
    with_codestream(ds, data[:2] + b"\0" + data[3:]).save_as(given / "a killer.dcm")
    sequence = struct.pack("<HH2sHLHHL", 0x0040, 0x0555, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    (given / "a nest.dcm").write_bytes(head + sequence * 20_000)
    unknown = struct.pack("<HH2sH", 0x0010, 0x0010, b"QQ", len(NAME)) + NAME.encode()
    (given / "an unknown VR.dcm").write_bytes(head + unknown + data_set)
    ds = dcmread(study / "L_CC.dcm")
    ds.PatientName, ds.SOPInstanceUID, ds.StudyInstanceUID = NAME, "2.25.8", "2.25.80"
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(given / "broken deflation.dcm")
    deflated = (given / "broken deflation.dcm").read_bytes()
    (given / "broken deflation.dcm").write_bytes(deflated[:500] + b"\xff" * 50 + deflated[550:])
    os.mkfifo(given / "fifo")
    (given / "nowhere.dcm").symlink_to(tmp_path / "nothing")
    (given / "elsewhere").symlink_to(study, target_is_directory=True)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(given / "socket"))
        done = analyze(given, given / "fifo", "/dev/zero", "--out", given / "out")
    assert done.returncode == 3, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert NAME not in done.stdout + done.stderr
    reasons = {Path(entry["path"]).name: entry["reason"] for entry in summary(given / "out")["skipped"]}
    assert reasons["fifo"] == reasons["socket"] == reasons["zero"] == "not a regular file"
    assert reasons["a nest.dcm"] == reasons["broken deflation.dcm"] == "damaged: its header can't be read"
    assert reasons["nowhere.dcm"] == "there is no such file"
    assert reasons["elsewhere"] == "a link to a folder; name the folder itself"
    studies = {entry["study_uid"]: entry for entry in summary(given / "out")["studies"]}
    assert studies["2.25.70"]["images"][0]["reason"].startswith("The pixels are damaged: ")
    good = studies[str(dcmread(study / "L_CC.dcm", stop_before_pixels=True).StudyInstanceUID)]
    assert good["outcome"] in ("findings", "no_findings")


def test_results_of_another_run_are_replaced_as_a_whole(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert analyse_folder(study, out, monkeypatch)[0] == 0
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    (folder / "1.2.3.dcm").write_bytes(b"of another model")
    (out / f".{folder.name}.part").mkdir()
    (out / f".{folder.name}.part" / "left.dcm").write_bytes(b"of a run that was killed")
    status, document = analyse_folder(study, out, monkeypatch, [ObjectKind.SEG, ObjectKind.SR])
    (told,) = document["studies"]
    assert status == 0
    made = {out / entry["path"] for entry in told["objects"]}
    assert set(folder.iterdir()) == made | {folder / name for name in ("L_CC.png", "L_MLO.png", "first-made.json")}
    assert {path.name for path in out.iterdir()} == {folder.name, "summary.json"}


def test_results_of_a_study_that_fails_are_set_aside(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given, out = tmp_path / "in", tmp_path / "out"
    given.mkdir()
    for path in study.iterdir():
        (given / path.name).write_bytes(path.read_bytes())
    assert analyse_folder(given, out, monkeypatch)[0] == 0
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    before = sorted(path.name for path in folder.iterdir())
    other = dcmread(given / "L_CC.dcm")
    other.PatientID = "ANOTHER"
    other.save_as(given / "L_CC.dcm")
    assert analyse_folder(given, out, monkeypatch)[0] == 4
    assert f"earlier results are in {folder.name}.earlier" in capsys.readouterr().out
    assert not folder.exists()
    assert sorted(path.name for path in folder.with_name(f"{folder.name}.earlier").iterdir()) == before
