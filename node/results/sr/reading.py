"""A measurement report read item by item, for its checks."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from node.results.common import codes
from node.results.common.content import Item, children, value_of, walk


def values(items: Iterable[Item], name: codes.Code) -> list[str | float]:
    """Return the values of the items with this name."""
    return [value_of(item.ds) for item in items if item.name == name.value]


def below(ds: Dataset, name: codes.Code) -> list[Item]:
    """Return the items in the containers of this name below the root."""
    containers = [item.ds for item in children(ds) if item.type == "CONTAINER" and item.name == name.value]
    return [item for container in containers for item in children(container)]


def by_tracking_uid(ds: Dataset, name: codes.Code) -> list[tuple[str, Dataset]]:
    """Return the groups in the container of this name, each with its tracking UID."""
    groups = [item.ds for item in below(ds, name)]
    return [(str(next(iter(values(children(group), codes.TRACKING_UID)), "")), group) for group in groups]


def referenced(item: Dataset) -> list[str]:
    """Return the instances that the items below an item refer to."""
    images = [found.ds for found in walk(item) if found.type == "IMAGE"]
    return [str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for image in images]
