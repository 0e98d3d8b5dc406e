"""The node's configuration: one TOML file and the environment, read once, every fault listed at once.

``FTMTL_<SECTION>_<KEY>`` in the environment overrides ``key`` in ``[section]``: ``FTMTL_NODE_PORT=11112``.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from node.domain import Destination
from node.errors import ConfigError
from node.kinds import DEFAULT_OBJECTS, ObjectKind, object_kinds

AETitle = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\\@\x00-\x1f]{1,16}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeSection(_Section):
    """Who the node is and where it keeps its data.

    Attributes
    ----------
    data
        Folder of spool, ledger and results.
    host, port
        Where C-STORE and C-ECHO are answered; port 0 takes a free one.
    http_host, http_port
        Where the status page is; None switches it off.
    min_free_gb
        Free disk space under which instances are refused with A700.
    max_associations
        How many senders are served at a time.
    """

    ae_title: AETitle = "FTMTL"
    host: str = "127.0.0.1"
    port: Port = 11112
    http_host: str = "127.0.0.1"
    http_port: Port | None = None
    data: Path = Path("ftmtl-data")
    min_free_gb: Annotated[float, Field(ge=0)] = 1.0
    max_associations: Annotated[int, Field(ge=1)] = 25


class QueueSection(_Section):
    """Redis or Valkey between node and workers; empty for the embedded one.

    Attributes
    ----------
    lease_s
        A worker that shows no sign of life for this long has lost its job.
    task_limit_s
        A task that takes longer ends its worker.
    max_attempts
        A job that lost this many workers is failed.
    """

    url: str = ""
    lease_s: Annotated[float, Field(gt=0)] = 30.0
    task_limit_s: Annotated[float, Field(gt=0)] = 900.0
    max_attempts: Annotated[int, Field(ge=1)] = 3


class LedgerSection(_Section):
    """An SQLAlchemy URL; empty for SQLite in the data folder."""

    url: str = ""


class AssemblySection(_Section):
    """When a study is complete.

    Attributes
    ----------
    quiet_s
        After the association closed and nothing came for this long.
    deadline_s
        After this long in any case.
    """

    quiet_s: Annotated[float, Field(ge=0)] = 10.0
    deadline_s: Annotated[float, Field(gt=0)] = 1800.0


class ModelSection(_Section):
    """What analyses.

    Attributes
    ----------
    weights
        A safetensors file; empty for the shipped one.
    device
        ``cpu``, ``cuda``, ``cuda:1``; empty for the GPU if there is one.
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
        Pause after the first failure; it doubles up to the longest.
    give_up_after_s
        After this long a delivery is failed.
    """

    first_retry_s: Annotated[float, Field(gt=0)] = 10.0
    longest_retry_s: Annotated[float, Field(gt=0)] = 3600.0
    give_up_after_s: Annotated[float, Field(gt=0)] = 7 * 86400.0


class Peer(_Section):
    """An Application Entity that may send; ``host`` is an address or a network in CIDR form."""

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
        What it gets, of :data:`node.domain.CHOICES`; ``sr`` needs ``seg``.
    profile
        ``ohif`` for an archive whose viewer is OHIF: what that can show in place of seg and sr.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    ae_title: AETitle
    host: Annotated[str, StringConstraints(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]
    objects: tuple[str, ...] = DEFAULT_OBJECTS
    profile: str = ""

    @model_validator(mode="after")
    def _objects_exist(self) -> DestinationSection:
        self.kinds()
        return self

    def kinds(self) -> tuple[ObjectKind, ...]:
        """What it gets, in the order of sending."""
        return object_kinds(self.objects, self.profile)


class Config(_Section):
    """All of it."""

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
            faults.append(f"destinations: the name {repeated[0]!r} stands twice")
        if not _is_loopback(self.node.host) and not self.peers:
            faults.append(
                f"node.host: listening on {self.node.host} needs [[peers]], the senders that are allowed; "
                "without them only this machine may send (host 127.0.0.1)"
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
        """Where instances and results are kept."""
        return self.node.data.resolve() / "spool"

    def destination_list(self) -> tuple[Destination, ...]:
        """The destinations as domain objects."""
        return tuple(Destination(d.name, d.ae_title, d.host, d.port, d.kinds()) for d in self.destinations)


def load_config(
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read and check the configuration.

    Parameters
    ----------
    path
        A TOML file, or JSON by its ending; None for the defaults.
    overrides
        Sections that win over file and environment: what the command line said.
    environment
        Where ``FTMTL_…`` variables are; the process's own by default.

    Raises
    ------
    ConfigError
        With every fault, if there is one.
    """
    raw: dict[str, Any] = {} if path is None else _read(path)
    faults = _merge_environment(raw, os.environ if environment is None else environment)
    for section, value in (overrides or {}).items():
        under = raw.get(section, {})
        if not isinstance(value, Mapping):
            raw[section] = value
        elif isinstance(under, Mapping):  # else the file is at fault, and validation says so
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
        raise ConfigError([f"{path}: holds no tables"])
    return raw


def _merge_environment(raw: dict[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Lay FTMTL_SECTION_KEY over the file's values; return what names no setting."""
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
            faults.append(f"{place}: {message} (is {item['input']!r})")
    return faults


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
