"""Images of one frame that keep what describes the frame in functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from ftmtl.decoding.files import ODD_VALUE
from ftmtl.header.elements import items, text

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


def flattened(ds: Dataset) -> Dataset:
    """Return a data set in which a single frame's attributes lie at the top, as in the older classes.

    A generated 2D image may be a Breast Tomosynthesis object of one frame. A data set without functional groups, or
    with several frames, is returned as it is. Attributes at the top are left as they are.
    """
    if not any(keyword in ds for keyword in GROUPS) or text(ds, "NumberOfFrames") not in ("", "1"):
        return ds
    copy = Dataset()
    copy.update(ds)
    if hasattr(ds, "file_meta"):
        copy.file_meta = ds.file_meta
    try:
        for element in [element for group in _groups(ds) for element in group]:
            if element.tag not in copy:
                copy.add(element)
    except ODD_VALUE:
        return ds
    return copy


def _groups(ds: Dataset) -> Iterator[Dataset]:
    """Yield the items of each macro: pixel measures, VOI LUT, orientation and so on; of a frame's own groups first."""
    for keyword in reversed(GROUPS):
        for groups in list(items(ds, keyword))[:1]:
            for macro in groups:
                if macro.VR == "SQ" and macro.value:
                    yield macro.value[0]
