"""Folders of results, replaced as a whole."""

import threading

import pytest

from node.store import folders
from node.store.folders import replace_folder


def folder_of(path, *names):
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def names_in(path):
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.parametrize("exchange", [folders._exchange, lambda one, other: False], ids=["exchanged", "renamed"])
def test_the_new_folder_takes_the_place_of_the_old_one(tmp_path, monkeypatch, exchange):
    monkeypatch.setattr(folders, "_exchange", exchange)
    replace_folder(folder_of(tmp_path / "new", "a"), tmp_path / "target")
    assert names_in(tmp_path / "target") == ["a"]
    replace_folder(folder_of(tmp_path / "new", "b", "c"), tmp_path / "target")
    assert names_in(tmp_path / "target") == ["b", "c"]
    replace_folder(folder_of(tmp_path / "new"), tmp_path / "target")
    assert names_in(tmp_path) == [], "an empty one removes it"


def test_whoever_looks_sees_the_old_or_the_new(tmp_path):
    target, seen, stop = folder_of(tmp_path / "target", "0a", "0b"), set(), threading.Event()

    def look():
        while not stop.is_set():
            try:
                seen.add(tuple(names_in(target)))
            except FileNotFoundError:  # it was removed while it was listed, under its later name
                assert target.exists()

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(1, 60):
        replace_folder(folder_of(tmp_path / "new", f"{number}a", f"{number}b"), target)
    stop.set()
    thread.join()
    assert {(f"{n}a", f"{n}b") for n in range(60)} >= {names for names in seen if len(names) == 2}
