"""Sections 4 to 7 of the statement: Application Entities, media, character sets, security."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.uid import UID

from node.dimse.entity import ACCEPTED_SYNTAXES, RESULT_SYNTAXES, accepting_entity, sending_entity
from node.dimse.status import (
    FAILURES,
    SOP_CLASS_NOT_SUPPORTED,
    STORED_BEFORE,
    UNFINISHED,
    WARNINGS,
    Answer,
    StoreStatus,
    meaning,
)
from node.kinds import ObjectKind
from node.settings import DeliverySection, DicomSection, NodeSection
from statement.classes import class_name, class_of, kinds_by_class
from statement.images import images
from statement.reports import structured_reports
from statement.samples import Sample

_ANSWERS = {
    StoreStatus.SUCCESS: "stored and entered; also for an instance that is stored already, in whatever encoding, "
    "and for another version of it",
    StoreStatus.OUT_OF_RESOURCES: "too little free disk space, before or while the data set arrives; the disk or the "
    "ledger does not do its work; the instance is larger than configured",
    StoreStatus.DATA_SET_MISMATCH: "SOP Class or SOP Instance UID differ between request and data set",
    StoreStatus.CANNOT_UNDERSTAND: "has no data set or can't be parsed; lacks a SOP Class, SOP Instance or Study "
    "Instance UID; or a UID is malformed",
}
"""When the receiving AE answers what."""


def networking(samples: Sequence[Sample]) -> str:
    """Return sections 4 to 7."""
    receiving, limits = accepting_entity("FTMTL"), NodeSection()
    classes = kinds_by_class(samples)
    sending = sending_entity("FTMTL", list(classes))
    storage = [str(cx.abstract_syntax) for cx in receiving.supported_contexts]
    syntaxes = "\n".join(f"| {UID(s).name} | {s} |" for s in ACCEPTED_SYNTAXES)
    accepted = "\n".join(f"| {class_name(uid)} | {uid} |" for uid in sorted(storage, key=class_name))
    proposed = "\n".join(
        f"| {class_name(uid)} | {uid} | {UID(syntax).name} {syntax} | SCU | none |"
        for uid in classes
        for syntax in RESULT_SYNTAXES
    )
    answers = "\n".join(f"| 0x{status:04X} | {_ANSWERS[status]} |" for status in StoreStatus)
    taken = "\n".join(_taken())
    fallbacks = "\n".join(
        f"| `{kind}` | {class_name(class_of(samples, kind))} | `{kind.fallback}` |"
        for kind in ObjectKind
        if kind.fallback
    )
    delivery = DeliverySection()
    refusals = ", ".join(
        f"0x{status:04X}" for status, (answer, _) in FAILURES.items() if answer is Answer.CLASS_REFUSED
    )
    return f"""## 4 Networking

### 4.1 Implementation model

```
 modality, PACS ──C-STORE──► receiving AE ──► spool and ledger ──► analysis ──► sending AE ──C-STORE──► PACS
```

The **receiving AE** stores what it is sent, and answers 0x0000 when the instance is on the disk and in the ledger.
When a study is complete (both breasts' CC and MLO are there, or the association is closed and nothing came for a
while), it is analysed.
The **sending AE** then opens an association to each destination and sends it the kinds of objects that it is configured
to get, segmentations before the reports that refer to them.

### 4.2 AE specifications

#### 4.2.1 Receiving AE

**4.2.1.1 Associations.** Title: configured (`FTMTL`). Maximum PDU: {receiving.maximum_pdu_size} bytes. At most
{limits.max_associations} associations at a time, and {limits.max_associations_per_peer} per AE title and address; what
goes beyond is rejected (transient, local limit exceeded).
Asynchronous operations window: not negotiated; one operation at a time.
A connection has {limits.request_timeout_s:.0f} s to bring its association request. An association is aborted after
{limits.silence_timeout_s:.0f} s of silence in the middle of a message, and after {limits.idle_timeout_s:.0f} s between
messages. All of these are configurable.
Unknown items of the request are ignored; titles and UIDs may be padded with blank or NUL.
Implementation Class UID {receiving.implementation_class_uid},
Version Name {receiving.implementation_version_name}. The AE never opens an association.

**4.2.1.2 Acceptance.** Without configured peers, only from this machine. With peers: a connection from an address
that is none of theirs is closed; an AE title that is not among them, or comes from an address that is not its own, is
rejected (permanent, calling AE title not recognised). The called AE title is not checked.

**4.2.1.3 Presentation contexts.** Verification and every Storage SOP class of the table, as SCP, with no extended
negotiation, in any of these transfer syntaxes; of those that a sender offers the first in this order is accepted:

| Transfer syntax | UID |
|---|---|
{syntaxes}

<details><summary>SOP classes</summary>

| SOP class | UID |
|---|---|
{accepted}

</details>

**4.2.1.4 Conformance to the Storage service.** Level 2 (full): the data set is kept as it came, to the byte; it is not
decoded, coerced or changed. A study with mammograms that can't be analysed gets a report that says so; what is not an
image is stored only. Instances are never deleted by the node and can't be retrieved from it.

| Status | when |
|---|---|
{answers}

A refusal carries an Error Comment (0000,0902). Nothing is answered with a warning. A request with a SOP class that is
not one of its service is answered with 0x{SOP_CLASS_NOT_SUPPORTED:04X}; any other DIMSE service ends the association.

{images()}

#### 4.2.2 Sending AE

**4.2.2.1 Associations.** Title: that of the receiving AE. Maximum PDU received: {sending.maximum_pdu_size} bytes.
One association a destination at a time, for one study. Implementation Class UID and Version Name
as above. The AE accepts none.

**4.2.2.2 Initiation.** Two presentation contexts for each SOP class that is to be sent, one a transfer syntax. Where
both are accepted, {UID(RESULT_SYNTAXES[0]).name} is used:

| SOP class | UID | Transfer syntax | Role | Extended negotiation |
|---|---|---|---|---|
{proposed}

**4.2.2.3 Conformance to the Storage service.** Each object is sent until it is answered:

| Status | what follows |
|---|---|
{taken}
| none: no association, no answer, an answer to another message | tried again |

*Delivered with a note*: `warnings = "fail"` lets the delivery fail instead, per destination. SOP Instance UIDs are
derived from content: 0x{STORED_BEFORE:04X} says that an earlier attempt, whose answer was lost, has stored the object.
An object that is delivered is not sent again unless a person asks for it.

*Tried again*: after {delivery.first_retry_s:.0f} s, then after pauses that double up to
{delivery.longest_retry_s:.0f} s, for {delivery.give_up_after_s / 86400:.0f} days (configurable).
When an object of the study has been stored, the pauses start anew.

A destination that answers nothing at all is asked again, with one study, after
{delivery.longest_silence_s:.0f} s at most (configurable). Other destinations are not held up.

A SOP class whose context is rejected, or that is answered with one of {refusals}, is replaced by what says the same:

| refused | SOP class | sent instead |
|---|---|---|
{fallbacks}

{structured_reports(samples)}
### 4.3 Network interfaces

TCP/IP over whatever the operating system offers, IPv4 and IPv6. Host names of destinations are looked up each time.

### 4.4 Configuration

One TOML file, explained line by line in [deploy/node.toml](../deploy/node.toml): AE title, address and port (11112),
peers with title and address, destinations with title, address, port, kinds of objects, profile, what distortions are
coded as, and what a warning means; pauses as above, and how long an association may take
({delivery.attempt_limit_s:.0f} s).

## 5 Media interchange

None. `ftmtl analyze` reads and writes DICOM files (PS3.10) without a DICOMDIR.

## 6 Character sets

Received instances may have any Specific Character Set that the standard defines, with code extensions. Objects are
written in ISO_IR 192 (UTF-8); text is translated. Where none is declared, UTF-8 is tried, then the configured default
({DicomSection().default_charset}). Text that is not in the declared one is read in the same way, and every result says
so; no character is ever replaced. An instance whose Patient ID, its issuer, Patient's Name or Accession Number a result
can't carry whole is not analysed.

## 7 Security

No DICOM TLS, no user identity: the AEs belong into a protected network, or behind a TLS proxy. Senders are told apart
by AE title and address. No audit trail messages; the ledger records every instance, job and answer. Logs name no
patients. Objects carry the patient's and study's attributes of the images that they were made of.
"""


def _taken() -> Iterator[str]:
    """Yield a row for each status that a PACS may answer: what the node takes it for, and what follows."""
    after = {
        Answer.STORED: "delivered",
        Answer.WARNING: "delivered with a note",
        Answer.TRY_AGAIN: "tried again",
        Answer.CLASS_REFUSED: "replaced, see below",
        Answer.REFUSED: "the delivery has failed",
    }
    ranges = {0xA700: "0xA7xx", 0xA900: "0xA9xx", 0xC000: "0xCxxx", 0xBFFF: "0xBxxx"}
    for status in sorted({0, STORED_BEFORE, *WARNINGS, *ranges, *FAILURES, *UNFINISHED}):
        answer, words = meaning(status)
        yield f"| {ranges.get(status, f'0x{status:04X}')} {words or 'success'} | {after[answer]} |"
    yield f"| any other | {after[meaning(0xFFFF)[0]]} |"
