"""Every kind of result object, sent to a storescp (dcmtk) that takes nothing but the default transfer syntax."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from support.every_kind import every_object
from support.peers import tool, wait_for

from node.cli.standalone import free_port
from node.delivery.send import send
from node.dimse.scu import echo
from node.dimse.status import Answer
from node.domain import Destination, ResultObject
from node.kinds import ObjectKind


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[Destination]:
    """A running storescp that writes what it gets into a folder, unchanged, whatever its SOP class."""
    folder.mkdir()
    destination = Destination("archive", "PACS", "127.0.0.1", free_port())
    command = [tool("storescp"), "-pm", "+B", "-od", str(folder), *options, str(destination.port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: echo(destination, "FTMTL") is None, 10, "storescp")
        yield destination
    finally:
        process.terminate()
        process.wait(10)


def test_every_object_arrives_whole(tmp_path: Path) -> None:
    objects = [dcmread(path) for path in every_object(tmp_path)[4:]]
    results = [
        ResultObject(ObjectKind.SEG, str(ds.SOPClassUID), str(ds.SOPInstanceUID), "2.25.9", Path(ds.filename))
        for ds in objects
    ]
    with storescp(tmp_path / "got", "+xi") as pacs:
        replies = list(send(pacs, results, "FTMTL"))
    assert [reply.answer for reply in replies] == [Answer.STORED] * len(objects)
    got = {ds.SOPInstanceUID: ds for ds in map(dcmread, (tmp_path / "got").iterdir())}
    assert {ds.file_meta.TransferSyntaxUID for ds in got.values()} == {ImplicitVRLittleEndian}
    assert got.keys() == {ds.SOPInstanceUID for ds in objects}
    for ds in objects:
        arrived = got[ds.SOPInstanceUID]
        if "PixelData" in ds:
            assert arrived["PixelData"].VR == "OW"  # as this transfer syntax has it (PS3.5 A.1)
            arrived["PixelData"].VR = ds["PixelData"].VR
        assert arrived == ds
