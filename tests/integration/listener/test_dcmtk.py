"""dcmtk's tools as senders to the listener."""

import subprocess

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from support.listening import kept
from support.peers import tool
from support.wire import Sender, data_set, encode, write_file


def call(name, port, *arguments):
    """Run one of dcmtk's tools against the listener; return what it did and said."""
    command = [tool(name), "-v", "-aet", "MODALITY", "-aec", "FTMTL", "127.0.0.1", str(port), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)


@pytest.mark.peer
def test_dcmtk_echoes(listener):
    done = call("echoscu", listener.port)
    assert done.returncode == 0, done.stdout


@pytest.mark.peer
def test_dcmtk_stores(listener, ledger, tmp_path):
    path = write_file(tmp_path / "sent.dcm", encode(data_set()))
    done = call("storescu", listener.port, "-R", str(path))
    assert done.returncode == 0, done.stdout
    (instance,) = kept(ledger)
    assert instance.transfer_syntax_uid == ExplicitVRLittleEndian
    assert dcmread(listener.intake.spool.path(instance.key)) == dcmread(path)


@pytest.mark.peer
def test_dcmtk_sends_a_corrected_image(listener, ledger, tmp_path):
    with Sender(listener.port) as sender:
        sender.store(encode(data_set()))
    path = write_file(tmp_path / "other.dcm", encode(data_set(ViewPosition="MLO")))
    assert call("storescu", listener.port, str(path)).returncode == 0
    (instance,) = kept(ledger)
    assert instance.view == "MLO"
