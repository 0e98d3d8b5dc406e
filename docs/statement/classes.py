"""SOP classes: their names, and which kinds of objects are of which class."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.uid import UID
from pynetdicom import sop_class

from node.kinds import ObjectKind
from statement.samples import Sample


def kinds_by_class(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Return the SOP classes that are sent, each with its kinds."""
    classes: dict[str, list[str]] = {}
    for kind in ObjectKind:
        for uid in dict.fromkeys(str(ds.SOPClassUID) for sample in samples for ds in sample.objects[kind]):
            classes.setdefault(uid, []).append(kind)
    return classes


def class_of(samples: Sequence[Sample], kind: ObjectKind) -> str:
    """Return the SOP class of the first object of a kind."""
    return str(samples[0].objects[kind][0].SOPClassUID)


def class_name(uid: str) -> str:
    """Return the name of a SOP class; the newest are not in the dictionary, but the network library knows them."""
    if UID(uid).name != uid:
        return UID(uid).name.removesuffix(" Storage")
    keyword = next((name for name, value in vars(sop_class).items() if value == uid), uid)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword).removesuffix(" Storage")
