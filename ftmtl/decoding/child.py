"""The process in which foreign decoders run: ``python -m ftmtl.decoding.child``.

It takes one codestream after another on standard input, and answers on standard output with the pixels or with a word
for what is wrong. A hostile codestream may end it, or make it reach its limits; `ftmtl.decoding.process` then starts
another. It ends when the process that started it does.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from ftmtl.decoding import codecs
from ftmtl.decoding.codecs import PLUGIN, IncompleteCodestream
from ftmtl.decoding.messages import receive, send

_STATM = Path("/proc/self/statm")


def main() -> None:
    """Serve until standard input closes."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # libraries print
    for number in (signal.SIGINT, signal.SIGTERM):  # they are meant for the parent, which may still need an image
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's image
    warnings.simplefilter("ignore")
    logging.disable()
    codecs.register()
    requests: SimpleQueue[tuple[dict[str, Any], bytearray]] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    while True:
        _serve(*requests.get(), answers)


def _listen(stream: IO[bytes], requests: SimpleQueue[tuple[dict[str, Any], bytearray]]) -> None:
    while True:
        try:
            requests.put(receive(stream))
        except EOFError:
            os._exit(0)  # the parent is gone, whatever a decoder is at


def _serve(fields: dict[str, Any], codestream: bytearray, answers: IO[bytes]) -> None:
    try:
        with _limits(fields["memory_bytes"], fields["seconds"]):
            values = _decode(UID(fields["syntax"]), fields["options"], bytes(codestream))
    except IncompleteCodestream:
        send(answers, {"fault": "incomplete"})
    except MemoryError:
        send(answers, {"fault": "memory"})
    except Exception:  # noqa: BLE001 - the boundary: decoders raise whatever the bytes provoke
        send(answers, {"fault": "undecodable"})
    else:
        send(answers, {"dtype": values.dtype.str, "shape": values.shape}, values.data.cast("B"))


@contextmanager
def _limits(memory_bytes: int, seconds: int) -> Iterator[None]:
    """Limit what this process may take, in addition to what it has."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limits = {resource.RLIMIT_CPU: int(used.ru_utime + used.ru_stime) + 1 + seconds}
    if _STATM.exists():  # Linux
        pages = int(_STATM.read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory_bytes
    before = {kind: resource.getrlimit(kind) for kind in limits}
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, before[kind][1]))
    try:
        yield
    finally:
        for kind, (soft, hard) in before.items():
            resource.setrlimit(kind, (soft, hard))


def _decode(syntax: UID, options: dict[str, Any], codestream: bytes) -> NDArray[Any]:
    decoder = get_decoder(syntax)
    ours = PLUGIN in decoder.available_plugins and options.get("samples_per_pixel") == 1
    options |= {"number_of_frames": 1, "decoding_plugin": PLUGIN if ours else ""}
    values, _ = decoder.as_array(encapsulate([codestream]), index=0, raw=True, **options)
    return np.ascontiguousarray(values)


if __name__ == "__main__":
    main()
