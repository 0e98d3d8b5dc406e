"""The node's configuration: one TOML file plus the environment, read once, with all faults reported together.

``FTMTL_<SECTION>_<KEY>`` in the environment overrides ``key`` in ``[section]``, for example ``FTMTL_NODE_PORT=11112``.
Kubernetes sets variables of the same form for services, such as ``FTMTL_NODE_PORT=tcp://10.0.0.7:11112`` for one named
``ftmtl-node``; these are left alone.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from node.domain import Destination
from node.errors import ConfigError
from node.settings import (
    AssemblySection,
    DeliverySection,
    DestinationSection,
    DicomSection,
    LedgerSection,
    ModelSection,
    NodeSection,
    Peer,
    QueueSection,
    Section,
)

_SERVICE_NAME = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?$")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class Config(Section):
    """The whole configuration."""

    node: NodeSection = NodeSection()
    queue: QueueSection = QueueSection()
    ledger: LedgerSection = LedgerSection()
    assembly: AssemblySection = AssemblySection()
    model: ModelSection = ModelSection()
    dicom: DicomSection = DicomSection()
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
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }
    for variable, value in environment.items():
        section, _, key = variable.removeprefix("FTMTL_").lower().partition("_")
        if not variable.startswith("FTMTL_") or section not in sections or _is_of_a_service(variable, value):
            continue
        model = sections[section]
        if model is None or key not in model.model_fields:
            faults.append(f"{variable}: there is no setting {key!r} in [{section}]")
        elif isinstance(raw.setdefault(section, {}), dict):
            raw[section][key] = value
    return faults


def _is_of_a_service(variable: str, value: str) -> bool:
    """Return whether Kubernetes, or a Docker link, has set a variable to say where a service is."""
    if _SERVICE_NAME.search(variable):
        return True
    return variable.endswith("_PORT") and _SERVICE_ADDRESS.match(value) is not None


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
