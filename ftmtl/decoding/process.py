"""Decodes in processes of their own, which live on from image to image, within limits of time and memory."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftmtl.decoding.messages import receive, send

_PROCESSES = 2
"""How many decode at a time: an image is loaded while another one is prepared."""


class DecoderFault(Exception):  # noqa: N818 - it is the image's, and named by `fault`
    """A codestream can't be decoded; the message is one of the words of `FAULTS`."""


FAULTS = ("incomplete", "undecodable", "memory", "time", "crash")


@dataclass(frozen=True)
class Request:
    """One frame to decode.

    Attributes
    ----------
    syntax
        UID of the transfer syntax to decode by.
    options
        Rows, columns and so on, as pydicom's decoders take them.
    codestream
        The encoded frame.
    memory_bytes, seconds
        What the decoder may take in addition to what it has.
    """

    syntax: str
    options: dict[str, Any]
    codestream: bytes
    memory_bytes: int
    seconds: int


class DecoderProcess:
    """A child process that decodes one frame after another until it dies or is stopped."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ftmtl.decoding.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries quote values there
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can take another frame."""
        return self._process.poll() is None

    def decode(self, request: Request) -> NDArray[Any]:
        """Decode a frame.

        Raises
        ------
        DecoderFault
            If it can't be decoded. After ``time`` and ``crash`` the process is gone.
        """
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        timer = threading.Timer(request.seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            fields, payload = self._ask(request)
        except (EOFError, BrokenPipeError) as error:
            self.stop()
            raise DecoderFault("time" if expired.is_set() else "crash") from error
        except BaseException:  # interrupted in the middle of an answer
            self.stop()
            raise
        finally:
            timer.cancel()
        if "fault" in fields:
            raise DecoderFault(fields["fault"])
        return np.frombuffer(payload, fields["dtype"]).reshape(fields["shape"])

    def _ask(self, request: Request) -> tuple[dict[str, Any], bytearray]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        fields = {
            "syntax": request.syntax,
            "options": request.options,
            "memory_bytes": request.memory_bytes,
            "seconds": request.seconds,
        }
        send(self._process.stdin, fields, request.codestream)
        return receive(self._process.stdout)

    def stop(self) -> None:
        """End the process, whatever it is at."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


class DecoderPool:
    """Decoder processes, started when they are first needed. Threads may share it."""

    def __init__(self, size: int = _PROCESSES) -> None:
        self._size = size
        self._idle: list[DecoderProcess] = []
        self.forget()

    def decode(self, request: Request) -> NDArray[Any]:
        """Decode a frame in one of the processes; wait for one to be free.

        A process that dies is replaced, and the frame given once more to the new one: not every death is the frame's.

        Raises
        ------
        DecoderFault
            If the frame can't be decoded.
        OSError
            If no process can be started.
        """
        with self._free:
            try:
                return self._decode(request)
            except DecoderFault as fault:
                if str(fault) != "crash":
                    raise
            return self._decode(request)

    def stop(self) -> None:
        """End all processes; a later `decode` starts new ones."""
        with self._lock:
            processes, self._idle = self._idle, []
        for process in processes:
            process.stop()

    def _decode(self, request: Request) -> NDArray[Any]:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        process = process or DecoderProcess()
        try:
            return process.decode(request)
        finally:
            if process.alive:
                with self._lock:
                    self._idle.append(process)

    def forget(self) -> None:
        """Begin without processes, as after a fork: those are the parent's, and stay open for its sake."""
        self._parents = self._idle
        self._idle = []
        self._free = threading.Semaphore(self._size)
        self._lock = threading.Lock()


POOL = DecoderPool()
"""The processes of this process."""

atexit.register(POOL.stop)
os.register_at_fork(after_in_child=POOL.forget)
