"""Named weights: a safetensors file whose header describes the network, its training and its performance.

The header (safetensors metadata) holds JSON under ``ftmtl``, the *card*: name, version, network configuration, recipe,
data, metrics, operating point and a checksum of the tensors. Tensors are stored as float16 and used as float32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ftmtl.errors import WeightsError
from ftmtl.findings import OperatingPoint
from ftmtl.network.ftmtlnet import FTMTLNet, SingleTaskNetworks, build_network
from ftmtl.network.variants import NetworkConfig

SHIPPED = Path(__file__).parent / "shipped" / "ftmtl-cesm.safetensors"
"""The default weights: trained on phantoms, then on phantoms and CDD-CESM. Others are in the same folder."""
USE = "Research use only. Not a medical device."
MANUFACTURER = "ftmtl-node"


@dataclass(frozen=True)
class WeightsCard:
    """The description of weights that is stored with them.

    Attributes
    ----------
    threshold
        Lesion score from which a detection is reported.
    data, recipe, metrics
        What the weights were trained on, how, and what was measured.
    checksum
        SHA-256 of the tensors (`checksum_of`), hexadecimal; set on writing and checked on reading.
    use
        What the weights may be used for.
    manufacturer
        Who made them.
    operating_points
        Points of the FROC curve of the cancer score, the strictest first.
    measured_on
        What they were measured on, in words; empty where nothing was measured.
    """

    name: str
    version: str
    network: NetworkConfig
    threshold: float
    data: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    checksum: str = ""
    use: str = USE
    manufacturer: str = MANUFACTURER
    operating_points: tuple[OperatingPoint, ...] = ()
    measured_on: str = ""


def save_weights(path: Path, network: FTMTLNet | SingleTaskNetworks, card: WeightsCard) -> str:
    """Write weights as float16 with their card and return the file's SHA-256."""
    tensors = {
        name: (t.half() if t.is_floating_point() else t).cpu().contiguous() for name, t in network.state_dict().items()
    }
    return _write(path, tensors, card)


def write_card(path: Path, card: WeightsCard, out: Path) -> str:
    """Write the weights of a file with another card, their tensors as they are, and return the new file's SHA-256.

    Parameters
    ----------
    out
        May be the file itself.

    Raises
    ------
    WeightsError
        If the weights are missing or damaged.
    """
    return _write(out, _read(path)[1], card)


def _write(path: Path, tensors: dict[str, Tensor], card: WeightsCard) -> str:
    card = replace(card, checksum=checksum_of(tensors))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    save_file(tensors, partial, metadata={"ftmtl": json.dumps(asdict(card), sort_keys=True)})
    partial.chmod(0o644)  # safetensors makes it readable for its owner only
    partial.replace(path)
    return sha256_of(path)


def checksum_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the names, types, shapes and values of tensors, in order of their names; hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_card(path: Path) -> WeightsCard:
    """Read the card of weights, without building their network.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, or is not a weights file of this package.
    """
    return _read(path)[0]


def load_weights(path: Path = SHIPPED) -> tuple[FTMTLNet | SingleTaskNetworks, WeightsCard, str]:
    """Read weights and build their network.

    Returns
    -------
    network
        In eval mode, float32, on the CPU.
    card
        The description stored in the file.
    sha256
        SHA-256 of the file, hexadecimal.

    Raises
    ------
    WeightsError
        If the file is missing, damaged or altered, or is not a weights file of this package.
    """
    card, state = _read(path)
    try:
        network = build_network(card.network)
        network.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        )
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"weights {path} do not fit the network they describe") from error
    network.eval()
    return network, card, sha256_of(path)


def find_weights(paths: Sequence[Path] = ()) -> list[Path]:
    """List weights files: the files given and all files in the folders given; by default the shipped ones.

    Raises
    ------
    WeightsError
        If a path does not exist, or no weights are found.
    """
    found: list[Path] = []
    for path in paths or (SHIPPED.parent,):
        if not path.exists():
            raise WeightsError(f"weights {path} do not exist")
        found += sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]
    if not found:
        raise WeightsError(f"there are no weights in {', '.join(str(path) for path in paths)}")
    return found


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> tuple[WeightsCard, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            card = _parse_card((file.metadata() or {}).get("ftmtl"), path)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"weights {path} are damaged: {error}") from error
    if checksum_of(state) != card.checksum:
        raise WeightsError(f"weights {path} are damaged: their tensors do not have the checksum on their card")
    return card, state


def _parse_card(text: str | None, path: Path) -> WeightsCard:
    if text is None:
        raise WeightsError(f"weights {path} have no card: they were not written by this package")
    try:
        raw = json.loads(text)
        network = {k: _tuples(v) for k, v in raw.pop("network").items()}
        if unknown := network.keys() - {f.name for f in fields(NetworkConfig)}:
            raise WeightsError(
                f"weights {path} have network settings that this version does not know ({', '.join(sorted(unknown))}): "
                "use the version that wrote them, or a newer one"
            )
        points = tuple(OperatingPoint(**point) for point in raw.pop("operating_points", ()))
        return WeightsCard(network=NetworkConfig(**network), operating_points=points, **raw)
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"weights {path} have a card that cannot be read: {error}") from error


def _tuples(value: Any) -> Any:
    """Turn lists back into tuples, at every depth: JSON has no tuples."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
