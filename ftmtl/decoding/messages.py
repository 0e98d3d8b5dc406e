"""Messages between a process and its decoder: a line of JSON, and as many bytes as it says."""

from __future__ import annotations

import json
from typing import IO, Any


def send(stream: IO[bytes], fields: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write a message."""
    line = json.dumps({**fields, "size": len(payload)})
    stream.write(line.encode() + b"\n")
    stream.write(payload)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytearray]:
    """Read a message: its fields and its payload.

    Raises
    ------
    EOFError
        If the other side is gone.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    fields: dict[str, Any] = json.loads(line)
    payload = bytearray(fields.pop("size"))
    if stream.readinto(payload) != len(payload):  # type: ignore[attr-defined]
        raise EOFError
    return fields, payload
