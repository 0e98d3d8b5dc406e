"""Names, numbers and UIDs by which results are told apart, derived from what they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ftmtl.findings import ImageResult, ModelIdentity
from node.identity import MANUFACTURER, derived_uid
from node.kinds import ObjectKind

MODELS = 999
"""How many models have series numbers of their own."""

_STEP = 10_000
_LONGEST = 64
_RESEARCH = " (RESEARCH)"


def series_number(kind: ObjectKind, model: ModelIdentity, nth: int = 0) -> int:
    """Return the Series Number of a kind's ``nth`` series, from 0.

    The last four digits are those of the kind; the digits before them tell the model, so that the series of one model
    stand together, and those of another are not taken for them.
    """
    digest = hashlib.sha256("\0".join(_model_parts(model)).encode()).digest()
    return kind.row.series_number + nth + _STEP * (1 + int.from_bytes(digest[:4]) % MODELS)


def series_description(what: str, model: ModelIdentity) -> str:
    """Return a Series Description: what it is, by which model, and what it may be used for; at most 64 characters."""
    named = f"{what}, {model.name} {model.version}"
    return named[: _LONGEST - len(_RESEARCH)].rstrip(" ,") + _RESEARCH


def versions_of(images: Iterable[ImageResult]) -> list[str]:
    """Return the digests of images that took the place of earlier ones, each after its SOP Instance UID.

    A corrected header may differ in patient attributes only. Its results must reach the PACS all the same.
    """
    versions = sorted((image.sop_instance_uid, image.version) for image in images if image.version)
    return [part for version in versions for part in version]


def device_uid(model: ModelIdentity) -> str:
    """Return the Device UID (0018,1002); a model with other weights or another configuration is another device."""
    return derived_uid("device", MANUFACTURER, *_model_parts(model))


def tracking_uid(sop_instance_uid: str, model: ModelIdentity, n: int) -> str:
    """Return the Tracking Unique Identifier of finding ``n`` (from 1) of an image (PS3.3 C.8.20.2)."""
    return derived_uid(sop_instance_uid, *_model_parts(model), "finding", str(n))


def side_and_view(laterality: str | None, view: str | None) -> str:
    """Return side and view, such as ``L CC``, as far as they are known; short enough for any description."""
    return " ".join(part for part in (laterality, (view or "")[:16]) if part)


def _model_parts(model: ModelIdentity) -> tuple[str, str, str, str]:
    return model.name, model.version, model.weights_sha256, model.configuration
