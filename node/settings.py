"""The sections of the configuration: every setting, with its default and its limits."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from ftmtl.header.reading import Reading
from node.charsets import CODECS, DEFAULT
from node.kinds import DEFAULT_OBJECTS, ObjectKind, object_kinds

AETitle = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\\@\x00-\x1f]{1,16}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeSection(Section):
    """The node's identity, its addresses and its data folder.

    Attributes
    ----------
    ae_title
        The node's own Application Entity title.
    host, port
        Address and port for C-STORE and C-ECHO; port 0 picks a free one.
    http_host, http_port
        Address and port of the status page; without a port there is none.
    data
        Folder for the spool, the ledger and the results.
    min_free_gb
        Free disk space in GB below which instances are refused with status 0xA700.
    spool
        Folder of received images and results; None for ``spool`` in the data folder. Several nodes on one PostgreSQL
        ledger share it, each with a data folder of its own.
    duplicates
        What becomes of other values under a known SOP Instance UID: ``newest`` analyses the newer version, ``first``
        keeps the older one, ``ask`` holds the study until ``ftmtl jobs retry``. Both versions are kept in any case.
    max_associations, max_associations_per_peer
        How many associations are served at the same time: altogether, and for one AE title at one address.
    max_instance_gb
        Size in GB above which an instance is refused with status 0xA700.
    request_timeout_s
        Seconds that a connection has to bring its association request.
    silence_timeout_s
        Seconds after which an association is aborted if nothing arrives in the middle of an image.
    idle_timeout_s
        Seconds after which an association is aborted if nothing arrives between two images.
    """

    ae_title: AETitle = "FTMTL"
    host: str = "127.0.0.1"
    port: Port = 11112
    http_host: str = "127.0.0.1"
    http_port: Port | None = None
    data: Path = Path("ftmtl-data")
    spool: Path | None = None
    min_free_gb: Annotated[float, Field(ge=0)] = 1.0
    duplicates: Literal["newest", "first", "ask"] = "newest"
    max_instance_gb: Annotated[float, Field(gt=0)] = 4.0
    max_associations: Annotated[int, Field(ge=1)] = 25
    max_associations_per_peer: Annotated[int, Field(ge=1)] = 10
    request_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    silence_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    idle_timeout_s: Annotated[float, Field(gt=0)] = 60.0


class QueueSection(Section):
    """Redis or Valkey between the node and the workers.

    Attributes
    ----------
    url
        Its URL; empty for the embedded server.
    lease_s
        A worker that shows no sign of life for this many seconds loses its job.
    task_limit_s
        An analysis that takes more than this many seconds ends its worker.
    max_attempts
        A job that has lost this many workers fails.
    """

    url: str = ""
    lease_s: Annotated[float, Field(gt=0)] = 30.0
    task_limit_s: Annotated[float, Field(gt=0)] = 900.0
    max_attempts: Annotated[int, Field(ge=1)] = 3


class LedgerSection(Section):
    """The ledger's SQLAlchemy URL; empty for SQLite in the data folder."""

    url: str = ""


class AssemblySection(Section):
    """When a study is complete.

    Attributes
    ----------
    quiet_s
        Seconds without a new instance after which a study is complete, once its sender has closed the association.
    deadline_s
        Seconds after the first instance at which a study is complete in any case.
    """

    quiet_s: Annotated[float, Field(ge=0)] = 10.0
    settle_s: Annotated[float, Field(ge=0)] = 2.0
    deadline_s: Annotated[float, Field(gt=0)] = 1800.0


class ModelSection(Section):
    """The model, where it runs, and what it analyses.

    Attributes
    ----------
    weights
        A safetensors file; empty for the shipped weights.
    device
        ``cpu``, ``cuda`` or ``cuda:1``; empty for the GPU if there is one, else the CPU.
    secondary_capture
        Whether Secondary Capture images with Modality MG (digitised film) are analysed.
    synthetic_2d
        What becomes of 2D images that were generated from tomosynthesis: ``analyse`` reads those of a breast and view
        of which the study has no full-field image, ``refuse`` reads none. The model was not trained on such images.
    """

    weights: str = ""
    device: str = ""
    secondary_capture: bool = True
    synthetic_2d: Literal["analyse", "refuse"] = "analyse"

    def reading(self) -> Reading:
        """Return which kinds of images are analysed."""
        return Reading(self.secondary_capture, self.synthetic_2d)


class DicomSection(Section):
    """How received headers are read.

    Attributes
    ----------
    default_charset
        The character set of text that is not UTF-8 where a header declares none, or declares one that does not fit; a
        defined term of Specific Character Set without code extensions.
    """

    default_charset: str = DEFAULT

    @field_validator("default_charset")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in CODECS:
            raise ValueError(f"use one of {', '.join(CODECS)}")
        return value


class DeliverySection(Section):
    """How results are sent.

    Attributes
    ----------
    first_retry_s, longest_retry_s
        Pause after the first failure, which doubles up to the longest pause, in seconds.
    longest_silence_s
        The longest pause, in seconds, after which a destination that does not answer at all is asked again.
    give_up_after_s
        Seconds after which a delivery fails.
    attempt_limit_s
        Seconds that one association with a destination may take. What was not sent by then is sent over the next one.
    """

    first_retry_s: Annotated[float, Field(gt=0)] = 10.0
    longest_retry_s: Annotated[float, Field(gt=0)] = 3600.0
    longest_silence_s: Annotated[float, Field(gt=0)] = 300.0
    give_up_after_s: Annotated[float, Field(gt=0)] = 7 * 86400.0
    attempt_limit_s: Annotated[float, Field(gt=0)] = 600.0


class Peer(Section):
    """An Application Entity that may send; ``host`` is an address or a network in CIDR notation."""

    ae_title: AETitle
    host: str = "127.0.0.0/8"

    @model_validator(mode="after")
    def _host_is_address(self) -> Peer:
        ipaddress.ip_network(self.host, strict=False)
        return self


class DestinationSection(Section):
    """An Application Entity that results are sent to.

    Attributes
    ----------
    objects
        The kinds that it receives, from :data:`node.kinds.CHOICES`; ``sr`` requires ``seg``.
    profile
        ``ohif`` for an archive viewed with OHIF: replaces ``seg`` and ``sr`` with objects that OHIF can show.
    map_distortion
        ``density`` for a workstation that draws densities and calcification clusters only: in its ``cad``
        architectural distortions are coded as densities, and the object says so.
    warnings
        What an object is that it has stored with a warning, such as 0xB000: ``accept`` for delivered, with a note,
        ``fail`` for failed.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    ae_title: AETitle
    host: Annotated[str, StringConstraints(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]
    objects: tuple[str, ...] = DEFAULT_OBJECTS
    profile: str = ""
    map_distortion: str = ""
    warnings: Literal["accept", "fail"] = "accept"

    @model_validator(mode="after")
    def _objects_exist(self) -> DestinationSection:
        self.kinds()
        return self

    def kinds(self) -> tuple[ObjectKind, ...]:
        """Return the kinds that it receives, in sending order."""
        return object_kinds(self.objects, self.profile, self.map_distortion)
