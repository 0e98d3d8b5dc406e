"""Sections 1 to 3 of the statement: what the node does in short."""

from __future__ import annotations

from collections.abc import Sequence

from statement.classes import class_name, kinds_by_class
from statement.samples import Sample


def overview(samples: Sequence[Sample]) -> str:
    """Return the title and sections 1 to 3."""
    made = "\n".join(
        f"| {class_name(uid)} | yes | – | `{'`, `'.join(kinds)}` |" for uid, kinds in kinds_by_class(samples).items()
    )
    return f"""# DICOM Conformance Statement: ftmtl-node

Research use only. Not a medical device. This document is written by `python docs/conformance_statement.py` from the
code; its form is that of PS3.2.

## 1 Overview

ftmtl-node receives mammography studies, analyses them with the network FT-MTL-Net, and sends what it found back as
DICOM objects.

| SOP class | user of service (SCU) | provider of service (SCP) | |
|---|---|---|---|
| Verification | yes | yes | `ftmtl echo`, `ftmtl check` |
| Every Storage SOP class (section 4.2.1.3) | – | yes | stored; which are analysed: see there |
{made}

No Query/Retrieve, no Worklist, no Storage Commitment, no Print, no media.

## 3 Introduction

- **Audience.** Hospital staff who connect the node to a PACS, integrators, those who write software for its objects.
- **Remarks.** Conformance does not by itself mean that two systems work together: try the connection (`ftmtl check`).
- **Terms.** AE, SCU, SCP, SOP, UID, VR as in the standard; *kind* is what the configuration calls a sort of object.
- **References.** DICOM PS3: <https://www.dicomstandard.org/current>; IHE Radiology, AI Results (AIR).
"""
