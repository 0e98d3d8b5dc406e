"""Names and UIDs of result objects, all derived from what the objects are made of.

Nothing here uses the clock or a random number generator: a second run over the same source with
the same model writes the same bytes under the same UID, and a PACS that receives it twice stores it once.
"""

from __future__ import annotations

from collections.abc import Iterable

from ftmtl.findings import ImageResult, ModelIdentity, StudyResult
from node.identity import MANUFACTURER, derived_uid, software_version


def object_uid(kind: str, sources: Iterable[str], model: ModelIdentity) -> str:
    """Return the UID of a result object (or of its series, or whatever else ``kind`` names).

    The version of this package is part of it: a new version may write other bytes, and changed
    content must not appear under an old UID.
    """
    return derived_uid(*sources, *_model_parts(model), software_version(), kind)


def image_parts(image: ImageResult) -> list[str]:
    """Return what the UIDs of an image's result objects depend on, besides the model.

    A corrected image has its own, and so has one that was seen in another grey scale or with another remark.
    """
    return [image.sop_instance_uid, *filter(None, [image.version]), *seen_as(image)]


def study_parts(result: StudyResult) -> list[str]:
    """Return what was remarkable about each image of a study: part of the UIDs of its reports."""
    images = sorted(result.images, key=lambda image: image.sop_instance_uid)
    return [part for image in images if (seen := seen_as(image)) for part in (image.sop_instance_uid, *seen)]


def seen_as(image: ImageResult) -> list[str]:
    """Return the notes on an image, and the window in which the model saw it if that was not the image's own."""
    return [*image.notes, *(f"{edge:.10g}" for edge in image.window or ())]


def device_uid(model: ModelIdentity) -> str:
    """Return the Device UID (0018,1002); a model with other weights or another configuration is another device."""
    return derived_uid("device", MANUFACTURER, *_model_parts(model))


def tracking_uid(sop_instance_uid: str, model: ModelIdentity, n: int) -> str:
    """Return the Tracking Unique Identifier of finding ``n`` (from 1) of an image (PS3.3 C.8.20.2)."""
    return derived_uid(sop_instance_uid, *_model_parts(model), "finding", str(n))


def tracking_id(laterality: str | None, view: str | None, n: int) -> str:
    """Return the readable name of finding ``n`` (from 1) of an image, such as ``L CC lesion 1``."""
    return f"{side_and_view(laterality, view)} lesion {n}".strip()


def side_and_view(laterality: str | None, view: str | None) -> str:
    """Return side and view, such as ``L CC``, as far as they are known; short enough for any description."""
    return " ".join(part for part in (laterality, (view or "")[:16]) if part)


def _model_parts(model: ModelIdentity) -> tuple[str, str, str, str]:
    return model.name, model.version, model.weights_sha256, model.configuration
