"""The node's configuration: one TOML file plus the environment, read once, with all faults reported together.

``FTMTL_<SECTION>_<KEY>`` in the environment overrides ``key`` in ``[section]``, for example ``FTMTL_NODE_PORT=11112``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from node.domain import Destination
from node.errors import ConfigError
from node.kinds import DEFAULT_OBJECTS, ObjectKind, object_kinds

AETitle = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\\@\x00-\x1f]{1,16}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeSection(_Section):
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
    max_associations
        How many associations are served at the same time.
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
    max_associations: Annotated[int, Field(ge=1)] = 25


class QueueSection(_Section):
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


class LedgerSection(_Section):
    """The ledger's SQLAlchemy URL; empty for SQLite in the data folder."""

    url: str = ""


class AssemblySection(_Section):
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


class ModelSection(_Section):
    """The model, where it runs, and what it analyses.

    Attributes
    ----------
    weights
        A safetensors file; empty for the shipped weights.
    device
        ``cpu``, ``cuda`` or ``cuda:1``; empty for the GPU if there is one, else the CPU.
    secondary_capture
        Whether Secondary Capture images with Modality MG (digitised film) are analysed.
    """

    weights: str = ""
    device: str = ""
    secondary_capture: bool = True


class DeliverySection(_Section):
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


class Peer(_Section):
    """An Application Entity that may send; ``host`` is an address or a network in CIDR notation."""

    ae_title: AETitle
    host: str = "127.0.0.0/8"

    @model_validator(mode="after")
    def _host_is_address(self) -> Peer:
        ipaddress.ip_network(self.host, strict=False)
        return self


class DestinationSection(_Section):
    """An Application Entity that results are sent to.

    Attributes
    ----------
    objects
        The kinds that it receives, from :data:`node.kinds.CHOICES`; ``sr`` requires ``seg``.
    profile
        ``ohif`` for an archive viewed with OHIF: replaces ``seg`` and ``sr`` with objects that OHIF can show.
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
    warnings: Literal["accept", "fail"] = "accept"

    @model_validator(mode="after")
    def _objects_exist(self) -> DestinationSection:
        self.kinds()
        return self

    def kinds(self) -> tuple[ObjectKind, ...]:
        """Return the kinds that it receives, in sending order."""
        return object_kinds(self.objects, self.profile)


class Config(_Section):
    """The whole configuration."""

    node: NodeSection = NodeSection()
    queue: QueueSection = QueueSection()
    ledger: LedgerSection = LedgerSection()
    assembly: AssemblySection = AssemblySection()
    model: ModelSection = ModelSection()
    delivery: DeliverySection = DeliverySection()
    peers: tuple[Peer, ...] = ()
    destinations: tuple[DestinationSection, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Config:
        faults = []
        names = [d.name for d in self.destinations]
        if repeated := sorted({n for n in names if names.count(n) > 1}):
            faults.append(f"destinations: the name {repeated[0]!r} appears more than once")
        if not _is_loopback(self.node.host) and not self.peers:
            faults.append(
                f"node.host: listening on {self.node.host} requires [[peers]], the list of allowed senders; "
                "without it only this machine may send (host 127.0.0.1)"
            )
        if self.delivery.longest_retry_s < self.delivery.first_retry_s:
            faults.append("delivery.longest_retry_s: is shorter than delivery.first_retry_s")
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger.url or f"sqlite:///{(self.node.data / 'ledger.sqlite').resolve()}"

    @property
    def spool_folder(self) -> Path:
        """Folder for instances and results."""
        return (self.node.spool or self.node.data / "spool").resolve()

    @property
    def node_name(self) -> str:
        """What tells this node from others on the same ledger and spool: its host, and its data folder."""
        digest = hashlib.sha256(str(self.node.data.resolve()).encode()).hexdigest()
        return f"{socket.gethostname()}-{digest[:8]}"

    def destination_list(self) -> tuple[Destination, ...]:
        """Return the destinations as domain objects."""
        return tuple(
            Destination(d.name, d.ae_title, d.host, d.port, d.kinds(), d.warnings == "accept")
            for d in self.destinations
        )


def load_config(
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read and check the configuration.

    Parameters
    ----------
    path
        A TOML file, or a JSON file if its name ends in ``.json``; None for the defaults.
    overrides
        Sections that take precedence over file and environment, from the command line.
    environment
        The environment to read ``FTMTL_…`` variables from; the process's own by default.

    Raises
    ------
    ConfigError
        If anything is wrong; it lists every fault.
    """
    raw: dict[str, Any] = {} if path is None else _read(path)
    faults = _merge_environment(raw, os.environ if environment is None else environment)
    for section, value in (overrides or {}).items():
        under = raw.get(section, {})
        if not isinstance(value, Mapping):
            raw[section] = value
        elif isinstance(under, Mapping):  # otherwise the file is at fault, and validation reports it
            raw[section] = {**under, **value}
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([*faults, *_describe(error)]) from error
    if faults:
        raise ConfigError(faults)
    return config


def save_config(config: Config, path: Path) -> None:
    """Write the effective configuration as JSON, for a worker process to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config.model_dump_json(indent=2))


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
        raw = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from error
    if not isinstance(raw, dict):
        raise ConfigError([f"{path}: contains no sections"])
    return raw


def _merge_environment(raw: dict[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Apply FTMTL_SECTION_KEY variables over the file's values; return a fault for each that names no setting."""
    faults = []
    sections = {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section)
    }
    for variable, value in environment.items():
        section, _, key = variable.removeprefix("FTMTL_").lower().partition("_")
        if not variable.startswith("FTMTL_") or section not in sections:
            continue
        model = sections[section]
        if model is None or key not in model.model_fields:
            faults.append(f"{variable}: there is no setting {key!r} in [{section}]")
        elif isinstance(raw.setdefault(section, {}), dict):
            raw[section][key] = value
    return faults


def _describe(error: ValidationError) -> list[str]:
    faults = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if not place:
            faults.extend(message.split("\n"))
        elif item["type"] == "extra_forbidden":
            faults.append(f"{place}: there is no such setting")
        else:
            faults.append(f"{place}: {message} (got {item['input']!r})")
    return faults


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
