"""The spool: whole or not at all, and names that no sender chooses."""

import hashlib
import os
import shutil
from collections import namedtuple

import pytest

from node.errors import FolderInUse, SpoolError, SpoolFull
from node.store.lock import FolderLock
from node.store.spool import Spool

HEAD = b"head that does not count"


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool", min_free_bytes=0)


def arrive(spool, content=b"data set", name="x.dcm"):
    path = spool.incoming / name
    path.write_bytes(HEAD + content)
    return path


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_accept_moves_the_file_and_names_it_by_its_data_set(spool):
    received = arrive(spool)
    stored = spool.accept(received, len(HEAD))
    assert stored.sha256 == hashlib.sha256(b"data set").hexdigest()
    assert stored.size_bytes == len(b"data set")
    assert spool.path(stored.key) == spool.folder / "instances" / stored.sha256[:2] / f"{stored.sha256}.dcm"
    assert spool.path(stored.key).read_bytes() == HEAD + b"data set"
    assert files(spool.folder) == [spool.path(stored.key)]


def test_the_file_is_synced_before_it_gets_its_name_and_the_folder_after(spool, monkeypatch):
    events = []
    received = arrive(spool)
    real_sync, real_replace = os.fsync, type(received).replace

    def sync(descriptor):
        events.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
        real_sync(descriptor)

    def replace(path, target):
        events.append(("rename", str(target)))
        return real_replace(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(type(received), "replace", replace)
    stored = spool.accept(received, len(HEAD))
    assert events[0] == ("sync", str(received))
    renamed = events.index(("rename", str(spool.path(stored.key))))
    assert events.index(("sync", str(spool.path(stored.key).parent.parent))) < renamed, "the new folder's own name"
    assert events[-1] == ("sync", str(spool.path(stored.key).parent))


def test_the_folder_above_is_synced_even_if_another_thread_made_the_folder(spool, monkeypatch):
    """Whoever made it may not have synced it yet, and our caller is about to be told that all is safe."""
    digest = hashlib.sha256(b"data set").hexdigest()
    (spool.folder / "instances" / digest[:2]).mkdir(exist_ok=True)
    synced = []
    monkeypatch.setattr("node.store.spool.sync_folder", synced.append)
    spool.accept(arrive(spool), len(HEAD))
    assert spool.folder / "instances" in synced


def test_a_failed_move_leaves_no_half_file_and_is_a_spool_error(spool, monkeypatch):
    received = arrive(spool)

    def replace(path, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(received), "replace", replace)
    with pytest.raises(SpoolError, match="No space left"):
        spool.accept(received, len(HEAD))
    assert files(spool.folder / "instances") == []


@pytest.mark.parametrize("content", [b"../../etc/passwd", b"/etc/passwd\0", b""])
def test_nothing_of_the_content_reaches_a_path(spool, content):
    stored = spool.accept(arrive(spool, content), len(HEAD))
    assert spool.path(stored.key).parent.parent == spool.folder / "instances"
    assert set(spool.path(stored.key).stem) <= set("0123456789abcdef")


def test_the_same_data_set_twice_is_one_file(spool):
    first = spool.accept(arrive(spool, name="a.dcm"), len(HEAD))
    second = spool.accept(arrive(spool, name="b.dcm"), len(HEAD))
    assert first == second
    assert files(spool.folder) == [spool.path(first.key)]


def test_reject_keeps_it_apart(spool):
    kept = spool.reject(arrive(spool))
    assert spool.path(kept.key).is_relative_to(spool.folder / "rejected")
    assert spool.path(kept.key).read_bytes() == HEAD + b"data set"
    assert files(spool.folder) == [spool.path(kept.key)]


def test_recover_removes_what_was_never_acknowledged_and_nothing_else(spool):
    kept = spool.accept(arrive(spool), len(HEAD)).key
    arrive(spool, name="half.dcm")
    arrive(spool, name="quarter.dcm")
    assert Spool(spool.folder).recover() == 2
    assert files(spool.folder) == [spool.path(kept)]
    assert spool.recover() == 0


def test_check_space(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    spool = Spool(tmp_path, min_free_bytes=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10_000, 9_000, 1000))
    spool.check_space()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10_000, 9_001, 999))
    with pytest.raises(SpoolFull, match="free"):
        spool.check_space()


def test_results_have_a_folder_a_job(spool):
    folder = spool.results("a" * 32)
    assert folder.is_dir()
    assert folder == spool.results("a" * 32) == spool.folder / "results" / ("a" * 32)


def test_nodes_that_share_a_spool_clear_their_own_incoming_files_only(tmp_path):
    first, second = (Spool(tmp_path / "spool", incoming=name) for name in ("first", "second"))
    arrive(first, name="half.dcm")
    assert (second.recover(), first.recover()) == (0, 1)


def test_a_key_finds_its_file_wherever_the_spool_is(tmp_path):
    here = Spool(tmp_path / "here")
    kept = here.accept(arrive(here), len(HEAD))
    here.folder.rename(tmp_path / "there")
    assert Spool(tmp_path / "there").path(kept.key).read_bytes() == HEAD + b"data set"


def test_a_folder_has_one_node(tmp_path):
    lock = FolderLock(tmp_path / "data")
    with pytest.raises(FolderInUse, match=f"in use by another node .process {os.getpid()}"):
        FolderLock(tmp_path / "data")
    lock.release()
    FolderLock(tmp_path / "data").release()
